// Counts what a test program allocates with operator new; for programs that link allocation_count.cc. Any thread.
#ifndef TIERLIB_TESTS_BASE_ALLOCATION_COUNT_H_
#define TIERLIB_TESTS_BASE_ALLOCATION_COUNT_H_

#include <cstdint>

namespace tierlib {
std::int64_t AllocationCount();  // by all threads of the program
std::int64_t
ThreadAllocationCount();  // by the calling thread: for code beside which others, as a sealing thread, allocate
}  // namespace tierlib

#endif  // TIERLIB_TESTS_BASE_ALLOCATION_COUNT_H_
