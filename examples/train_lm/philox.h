// Random numbers as a function of (seed, stream, index): Philox4x32-10 (Salmon et al., SC 2011). A position is all the
// state there is, so a run resumes from its step number alone.
#ifndef TRAIN_LM_PHILOX_H_
#define TRAIN_LM_PHILOX_H_

#include <array>
#include <cstdint>

namespace train_lm {

// What each stream is for. Dropout has its own counters, in the ops.
enum class RandomStream : std::uint32_t { kWeights = 1, kBatches = 2, kEstimates = 3 };

inline std::array<std::uint32_t, 4> Philox(std::uint64_t seed, RandomStream stream, std::uint32_t row,
                                           std::uint64_t index) {
  std::array<std::uint32_t, 4> counter = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                          row, static_cast<std::uint32_t>(stream)};
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

}  // namespace train_lm

#endif  // TRAIN_LM_PHILOX_H_
