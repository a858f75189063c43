// Random numbers that are a pure function of a seed and a position: the same on every machine and for any number of
// threads.
//
// Philox4x32: the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
// 3" (SC 2011), with 10 rounds. A mask that a forward pass drew (dropout) is drawn again in the backward pass from its
// position. SplitMix64: Steele, Lea and Flood (OOPSLA 2014); turns one seed into many.
#ifndef TIERLIB_SRC_BASE_RANDOM_H_
#define TIERLIB_SRC_BASE_RANDOM_H_

#include <array>
#include <cstdint>

namespace tierlib {

// Four random 32-bit numbers for a 128-bit position under a 64-bit key. Little end first.
constexpr std::array<std::uint32_t, 4> Philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;  // golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

// Block `index` of stream `stream` under `seed`: the form that operators use, one stream for each call of an operator.
constexpr std::array<std::uint32_t, 4> PhiloxBlock(std::uint64_t seed, std::uint64_t stream,
                                                   std::uint64_t index) noexcept {
  return Philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                     static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                    {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

// A multiple of 2^-24 in [0, 1): every such value equally likely.
constexpr float UnitFloat(std::uint32_t bits) noexcept { return static_cast<float>(bits >> 8) * 0x1p-24f; }

constexpr std::uint64_t SplitMix64(std::uint64_t* state) noexcept {
  std::uint64_t z = (*state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// One Philox stream read in order. Its whole state is (seed, stream, position), so it can be saved and continued.
// Satisfies std::uniform_random_bit_generator. Not thread-safe: give each thread a stream.
class Random {
 public:
  using result_type = std::uint32_t;

  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffff; }
  result_type operator()() { return NextU32(); }

  std::uint32_t NextU32();
  std::uint64_t NextU64();
  float UniformFloat();    // [0, 1), 24 bits, one number
  double UniformDouble();  // [0, 1), 53 bits, two numbers
  // In [0, bound), every value equally likely (numbers that would favour some are drawn again). REQUIRES: bound > 0.
  std::uint64_t UniformInt(std::uint64_t bound);
  // Mean 0, variance 1 by Box and Muller in double precision. Takes four numbers and keeps no second value, so that the
  // position says everything. Bits depend on the C library's log and cos.
  double Normal();

  std::uint64_t seed() const { return seed_; }
  std::uint64_t stream() const { return stream_; }
  std::uint64_t position() const { return position_; }  // 32-bit numbers drawn so far
  void Seek(std::uint64_t position) { position_ = position; }

 private:
  static constexpr std::uint64_t kNoBlock = ~std::uint64_t{0};  // positions / 4 never get there

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  std::uint64_t block_index_ = kNoBlock;
  std::array<std::uint32_t, 4> block_{};
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_RANDOM_H_
