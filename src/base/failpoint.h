// Failpoint: a named place where a test can make something fail that seldom fails by itself (a full disk, a refused
// mapping, an allocation). Always compiled in; costs one relaxed load where no test armed it.
//
//   Failpoint cannot_grow("trace.grow");                      // at namespace scope in a .cc file
//   const int error = cannot_grow.Fails() ? ENOSPC : posix_fallocate(...);
//
//   ScopedFailpoint failure("trace.grow", {.call = 3});       // in a test: the third call from now on fails, once
//
// Thread-safety: Fails from any thread. Arm one failpoint from one thread at a time.
#ifndef TIERLIB_SRC_BASE_FAILPOINT_H_
#define TIERLIB_SRC_BASE_FAILPOINT_H_

#include <atomic>
#include <cstdint>
#include <string_view>

namespace tierlib {

struct FailurePlan {
  std::int64_t call = 1;    // the first call that fails, counted from 1 when armed
  bool persistent = false;  // and every later one
};

class Failpoint {
 public:
  // `name` is a literal. REQUIRES: static storage duration, and a name that no other failpoint has.
  explicit Failpoint(const char* name) noexcept;
  Failpoint(const Failpoint&) = delete;
  Failpoint& operator=(const Failpoint&) = delete;

  // True where this call is to fail.
  bool Fails() noexcept { return armed_.load(std::memory_order_relaxed) && Count(); }

 private:
  friend class ScopedFailpoint;
  bool Count() noexcept;

  const char* const name_;
  Failpoint* const next_;  // all failpoints, newest first
  std::atomic<bool> armed_{false};
  std::atomic<bool> persistent_{false};
  std::atomic<std::int64_t> first_failing_{0};
  std::atomic<std::int64_t> calls_{0};
};

// Arms a failpoint for as long as it lives. Aborts where no failpoint of the program has the name.
class ScopedFailpoint {
 public:
  ScopedFailpoint(std::string_view name, FailurePlan plan);
  ~ScopedFailpoint();
  ScopedFailpoint(const ScopedFailpoint&) = delete;
  ScopedFailpoint& operator=(const ScopedFailpoint&) = delete;

  // Calls since it was armed. A test that expects a failure expects this to have got there.
  std::int64_t calls() const { return point_->calls_.load(); }

 private:
  Failpoint* point_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_FAILPOINT_H_
