// Conversions between the float types on the host, rounding to nearest even.
#ifndef LLAMA_FLOAT_CONVERT_H_
#define LLAMA_FLOAT_CONVERT_H_

#include <cstdint>
#include <vector>

#include "tierlib/dtype.h"

namespace llama {

std::uint16_t ToBF16(float value);
float FromBF16(std::uint16_t bits);
std::uint16_t ToF16(float value);  // beyond the largest half: infinity
float FromF16(std::uint16_t bits);

// `count` elements of `from` at `source` (not aligned), as doubles. REQUIRES: IsFloat(from).
std::vector<double> ReadFloats(const void* source, tierlib::DType from, std::int64_t count);
// The same values as elements of `to`. REQUIRES: IsFloat(to).
std::vector<char> WriteFloats(const std::vector<double>& values, tierlib::DType to);

}  // namespace llama

#endif  // LLAMA_FLOAT_CONVERT_H_
