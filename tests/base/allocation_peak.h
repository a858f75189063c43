// Counts the bytes that a program has from operator new, and the most that it had at once; for programs that link
// allocation_peak.cc. What libraries take from malloc is not in it. One thread at a time.
#ifndef TIERLIB_TESTS_BASE_ALLOCATION_PEAK_H_
#define TIERLIB_TESTS_BASE_ALLOCATION_PEAK_H_

#include <cstdint>

namespace tierlib {

// From its construction on.
class AllocationPeak {
 public:
  AllocationPeak();
  // The most bytes at once beyond those that there were at the begin.
  std::int64_t bytes() const;

 private:
  std::int64_t before_;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_BASE_ALLOCATION_PEAK_H_
