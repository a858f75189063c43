// The mask of dropout: a pure function of (seed, counter, element index).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_DROPOUT_MASK_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_DROPOUT_MASK_H_

#include <array>
#include <cstdint>

#include "base/random.h"

namespace tierlib::autograd::host {

// Reads keep-or-drop decisions of consecutive elements: element i takes number i % 4 of Philox block i / 4 of stream
// `counter`, and is kept where that number is at least p 2^32 (p is met to 2^-32).
class DropoutMask {
 public:
  DropoutMask(double p, std::uint64_t seed, std::uint64_t counter)
      : seed_(seed), counter_(counter), threshold_(Threshold(p)) {}

  // A number below it is dropped: 2^32 (nothing is kept) for p = 1, hence 64 bits.
  static std::uint64_t Threshold(double p) {
    return p <= 0 ? 0 : p >= 1 ? std::uint64_t{1} << 32 : static_cast<std::uint64_t>(p * 0x1p32);
  }

  // factors[i] = keep(first + i) ? kept : 0.
  template <typename T>
  void Draw(std::uint64_t first, std::int64_t n, T kept, T* factors) const {
    for (std::int64_t i = 0; i < n;) {
      const std::uint64_t element = first + static_cast<std::uint64_t>(i);
      const std::array<std::uint32_t, 4> block = PhiloxBlock(seed_, counter_, element / 4);
      for (std::uint64_t lane = element % 4; lane < 4 && i < n; ++lane, ++i) {
        factors[i] = block[lane] >= threshold_ ? kept : T{0};
      }
    }
  }

 private:
  std::uint64_t seed_;
  std::uint64_t counter_;
  std::uint64_t threshold_;
};

// What a kept value is multiplied with; 0 for p = 1, where nothing is kept.
inline double KeptScale(double p) { return p < 1 ? 1 / (1 - p) : 0; }

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_DROPOUT_MASK_H_
