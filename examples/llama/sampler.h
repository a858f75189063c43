// Which token comes next, given logits.
#ifndef LLAMA_SAMPLER_H_
#define LLAMA_SAMPLER_H_

#include <cstdint>
#include <random>

namespace llama {

// The lowest of the likeliest tokens.
std::int32_t Likeliest(const float* logits, std::int64_t vocabulary);

// log of the softmax of logits at a token, in float64.
double LogProbability(const float* logits, std::int64_t vocabulary, std::int32_t token);

class Sampler {
 public:
  // `temperature` 0: always the likeliest.
  Sampler(double temperature, std::uint64_t seed) : temperature_(temperature), random_(seed) {}
  std::int32_t Next(const float* logits, std::int64_t vocabulary);

 private:
  const double temperature_;
  std::mt19937_64 random_;
};

}  // namespace llama

#endif  // LLAMA_SAMPLER_H_
