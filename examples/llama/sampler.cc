#include "llama/sampler.h"

#include <algorithm>
#include <cmath>

namespace llama {

std::int32_t Likeliest(const float* logits, std::int64_t vocabulary) {
  return static_cast<std::int32_t>(std::max_element(logits, logits + vocabulary) - logits);
}

double LogProbability(const float* logits, std::int64_t vocabulary, std::int32_t token) {
  const double highest = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (std::int64_t i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - highest);
  return logits[token] - highest - std::log(sum);
}

std::int32_t Sampler::Next(const float* logits, std::int64_t vocabulary) {
  const std::int32_t likeliest = Likeliest(logits, vocabulary);
  if (temperature_ == 0) return likeliest;
  const auto weight = [&](std::int64_t i) { return std::exp((logits[i] - logits[likeliest]) / temperature_); };
  double sum = 0;
  for (std::int64_t i = 0; i < vocabulary; ++i) sum += weight(i);
  // Of the generator's bits, not of a distribution: those differ between standard libraries.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  for (std::int64_t i = 0; i < vocabulary; ++i) {
    left -= weight(i);
    if (left < 0) return static_cast<std::int32_t>(i);
  }
  return likeliest;  // only rounding leads here
}

}  // namespace llama
