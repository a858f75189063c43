// Sizes in bytes: literals for programs, and text for people.
#ifndef TIERLIB_BYTES_H_
#define TIERLIB_BYTES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "tierlib/status.h"

namespace tierlib {

constexpr std::uint64_t KiB(std::uint64_t n) { return n << 10; }
constexpr std::uint64_t MiB(std::uint64_t n) { return n << 20; }
constexpr std::uint64_t GiB(std::uint64_t n) { return n << 30; }

// "1.3 GiB", "512 MiB", "17 B": three significant digits, binary units.
std::string FormatBytes(std::uint64_t bytes);

// Reads "96MiB", "96 MiB", "1.5GiB", "64K", "1e9", "4096". K, M, G and T mean powers of 1024; KB, MB, GB and TB powers of
// 1000. InvalidArgument names the text where it is not a size or does not fit into 63 bits.
StatusOr<std::uint64_t> ParseBytes(std::string_view text);

}  // namespace tierlib

#endif  // TIERLIB_BYTES_H_
