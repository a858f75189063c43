// NoMemory: operator new that fails, for tests of what happens then; in programs that link no_memory.cc.
#ifndef TIERLIB_TESTS_BASE_NO_MEMORY_H_
#define TIERLIB_TESTS_BASE_NO_MEMORY_H_

#include <cstdint>

namespace tierlib {

// While one lives, allocations of the thread that made it fail: all but the first `served` of them. One at a time.
class NoMemory {
 public:
  explicit NoMemory(std::uint64_t served = 0);
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;

  std::uint64_t failures() const;  // allocations that failed
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_BASE_NO_MEMORY_H_
