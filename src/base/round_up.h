// RoundUpTo: the next multiple of a power of two.
#ifndef TIERLIB_SRC_BASE_ROUND_UP_H_
#define TIERLIB_SRC_BASE_ROUND_UP_H_

#include <cstddef>

namespace tierlib {

// The smallest multiple of `unit` that is not below `value`. REQUIRES: `unit` is a power of two; the result fits.
constexpr std::size_t RoundUpTo(std::size_t value, std::size_t unit) { return (value + unit - 1) & ~(unit - 1); }

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_ROUND_UP_H_
