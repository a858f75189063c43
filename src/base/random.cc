#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace tierlib {

std::uint32_t Random::NextU32() {
  const std::uint64_t index = position_ / 4;
  if (index != block_index_) {
    block_ = PhiloxBlock(seed_, stream_, index);
    block_index_ = index;
  }
  return block_[position_++ % 4];
}

std::uint64_t Random::NextU64() {
  const std::uint64_t low = NextU32();
  return low | (std::uint64_t{NextU32()} << 32);
}

float Random::UniformFloat() { return UnitFloat(NextU32()); }

double Random::UniformDouble() { return static_cast<double>(NextU64() >> 11) * 0x1p-53; }

std::uint64_t Random::UniformInt(std::uint64_t bound) {
  TIERLIB_CHECK(bound > 0, "UniformInt needs a bound above zero");
  // 2^64 mod bound: the numbers below it belong to an incomplete run of residues.
  const std::uint64_t skip = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t number = NextU64();
    if (number >= skip) return number % bound;
  }
}

double Random::Normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - UniformDouble()));  // 1 - u lies in (0, 1]
  return radius * std::cos(2.0 * std::numbers::pi * UniformDouble());
}

}  // namespace tierlib
