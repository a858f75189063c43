// Contiguous rows from and to float: bfloat16 and binary16 as float16.h defines them, to the bit, a vector at a time.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_CONVERT_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_CONVERT_H_

#include <cstddef>
#include <cstdint>

namespace tierlib::autograd::host {

void FloatFromBF16Lanes(const std::uint16_t* x, float* y, std::size_t n);
void FloatFromF16Lanes(const std::uint16_t* x, float* y, std::size_t n);
void BF16FromFloatLanes(const float* x, std::uint16_t* y, std::size_t n);
void F16FromFloatLanes(const float* x, std::uint16_t* y, std::size_t n);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_CONVERT_H_
