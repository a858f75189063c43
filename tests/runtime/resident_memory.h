// What this process has in memory, as the kernel says.
#ifndef TIERLIB_TESTS_RUNTIME_RESIDENT_MEMORY_H_
#define TIERLIB_TESTS_RUNTIME_RESIDENT_MEMORY_H_

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace tierlib {

inline std::uint64_t ResidentBytes() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Sanitizers keep memory of their own for what the program touched.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_RESIDENT_MEMORY_H_
