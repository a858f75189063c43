#include "autograd/kernels/adamw.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_update.h"
#include "autograd/kernels/host/tensor_blocks.h"

namespace tierlib::autograd::host {
namespace {

AdamWFactors FactorsOf(const AdamWArguments& a) {
  const auto step = static_cast<double>(a.step);
  AdamWFactors factors;
  factors.beta1 = a.beta1;
  factors.beta2 = a.beta2;
  factors.step = a.learning_rate / (1 - std::pow(a.beta1, step));
  factors.root_correction = std::sqrt(1 - std::pow(a.beta2, step));
  factors.epsilon = a.epsilon;
  return factors;
}

template <typename T>
void UpdateBlock(const AdamWFactors& factors, const AdamWTensor& tensor, std::int64_t begin, std::int64_t end) {
  T gradient_buffer[kChunk];
  T value_buffer[kChunk];
  for (std::int64_t i = begin; i < end; i += kChunk) {
    const std::int64_t n = std::min(kChunk, end - i);
    const T* gradient = ReadChunk(tensor.dtype, tensor.gradient, i, 1, n, gradient_buffer);
    T* value = OpenChunk(tensor.dtype, tensor.value, i, 1, value_buffer);
    if (tensor.master != nullptr) {
      value = static_cast<T*>(tensor.master) + i;
    } else if (value == value_buffer) {
      ReadChunk(tensor.dtype, tensor.value, i, 1, n, value_buffer);
    }
    AdamWLanes(factors, gradient, value, static_cast<T*>(tensor.exp_avg) + i, static_cast<T*>(tensor.exp_avg_sq) + i,
               static_cast<std::size_t>(n));
    CloseChunk(tensor.dtype, tensor.value, i, 1, n, value);
  }
}

}  // namespace

void AdamW(KernelContext& context, const AdamWArguments& a) {
  const AdamWFactors common = FactorsOf(a);
  ForEachTensorBlock(context.pool, a.tensors,
                     [&](const AdamWTensor& tensor, std::int64_t /*block*/, std::int64_t begin, std::int64_t end) {
                       AdamWFactors factors = common;
                       factors.keep = 1 - a.learning_rate * tensor.weight_decay;
                       WithComputeType(tensor.dtype,
                                       [&](auto type) { UpdateBlock<decltype(type)>(factors, tensor, begin, end); });
                     });
}

}  // namespace tierlib::autograd::host
