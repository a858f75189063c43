// Elementwise arithmetic on contiguous rows of float or double, with the machine's vector instructions. y may be any of
// the sources; nothing else overlaps. For kernels that have brought their operands into this form.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ELEMENTWISE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ELEMENTWISE_H_

#include <cstddef>

#include "autograd/kernels/activation.h"
#include "autograd/kernels/elementwise.h"

namespace tierlib::autograd::host {

void UnaryLanes(UnaryOp op, double c0, double c1, const float* x, float* y, std::size_t n);
void UnaryLanes(UnaryOp op, double c0, double c1, const double* x, double* y, std::size_t n);
void BinaryLanes(BinaryOp op, double c0, double c1, const float* a, const float* b, float* y, std::size_t n);
void BinaryLanes(BinaryOp op, double c0, double c1, const double* a, const double* b, double* y, std::size_t n);
void DivisorGradientLanes(const float* gradient, const float* numerator, const float* denominator, float* y,
                          std::size_t n);
void DivisorGradientLanes(const double* gradient, const double* numerator, const double* denominator, double* y,
                          std::size_t n);
void ActivationLanes(Activation activation, const float* x, float* y, std::size_t n);
void ActivationLanes(Activation activation, const double* x, double* y, std::size_t n);
void ActivationGradientLanes(Activation activation, const float* dy, const float* x, float* dx, std::size_t n);
void ActivationGradientLanes(Activation activation, const double* dy, const double* x, double* dx, std::size_t n);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ELEMENTWISE_H_
