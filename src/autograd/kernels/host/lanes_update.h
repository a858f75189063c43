// The arithmetic of AdamW and of gradient scaling on contiguous rows.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_UPDATE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_UPDATE_H_

#include <cstddef>

namespace tierlib::autograd::host {

// What one update multiplies with, from adamw.h's options; computed once in double.
struct AdamWFactors {
  double keep = 1;  // 1 - learning_rate * weight_decay
  double beta1 = 0;
  double beta2 = 0;
  double step = 0;             // learning_rate / (1 - beta1^t)
  double root_correction = 1;  // sqrt(1 - beta2^t)
  double epsilon = 0;
};

void AdamWLanes(const AdamWFactors& factors, const float* gradient, float* value, float* exp_avg, float* exp_avg_sq,
                std::size_t n);
void AdamWLanes(const AdamWFactors& factors, const double* gradient, double* value, double* exp_avg, double* exp_avg_sq,
                std::size_t n);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_UPDATE_H_
