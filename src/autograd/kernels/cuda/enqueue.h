// The CUDA kernels on a CUDA stream, one overload for each kernel: what kernels/device_kernels.h promises of Enqueue.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ENQUEUE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ENQUEUE_H_

#include "autograd/kernels/device_kernels.h"

namespace tierlib::autograd::cuda {

// elementwise.cu
Status Enqueue(Stream stream, const host::FillArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::CastArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::RoundArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::UnaryArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::BinaryArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::DivisorGradientArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::MaskedFillArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::ActivationForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::ActivationBackwardArguments& a, void* workspace);
// rows.cu
Status Enqueue(Stream stream, const host::SumToArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::SoftmaxForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::SoftmaxBackwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::LayerNormForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::LayerNormBackwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::CrossEntropyForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::CrossEntropyBackwardArguments& a, void* workspace);
// positions.cu
Status Enqueue(Stream stream, const host::DropoutArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::EmbeddingForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::EmbeddingBackwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::RotaryArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::CausalMaskArguments& a, void* workspace);
// attention_forward.cu, attention_backward.cu
Status Enqueue(Stream stream, const host::AttentionForwardArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::AttentionBackwardArguments& a, void* workspace);
// update.cu
Status Enqueue(Stream stream, const host::AdamWArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::GradientNormArguments& a, void* workspace);
Status Enqueue(Stream stream, const host::ScaleGradientsArguments& a, void* workspace);

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ENQUEUE_H_
