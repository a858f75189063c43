// ForkMark: tells the process that made an object from a child made by fork since. See docs/decisions/0010-fork.md.
//
// A child has copies of the parent's objects, but not the parent's threads, device or pinned memory, and a lock that
// another thread of the parent held stays locked in it for good. So what owns such things asks its mark before it takes
// a lock, and in a child is left behind in place of being destroyed.
//
// Thread-safety: every function may be called from several threads.
#ifndef TIERLIB_SRC_BASE_FORK_MARK_H_
#define TIERLIB_SRC_BASE_FORK_MARK_H_

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tierlib/status.h"

namespace tierlib {

namespace internal {
// Raised in each child, by a handler that the first mark registers. vfork and posix_spawn call no handlers, and need
// none: their children run nothing of ours.
inline constinit std::atomic<std::uint64_t> fork_generation{0};

struct LeftBehind {
  virtual ~LeftBehind() = default;
  LeftBehind* next = nullptr;
};
void Keep(LeftBehind* left);
}  // namespace internal

class ForkMark {
 public:
  // Throws std::bad_alloc where the handler cannot be registered.
  ForkMark();
  // A load: cheap enough for every call.
  bool in_child() const { return internal::fork_generation.load(std::memory_order_relaxed) != generation_; }
  // In a child FailedPrecondition: "this runtime belongs to process 123; after fork() make a new one".
  Status Check() const { return in_child() ? Refused() : OkStatus(); }

 private:
  Status Refused() const;
  const std::uint64_t generation_;
  const std::int64_t process_;
};

// Moves `value` to where it is never destroyed, though it can still be found (by a leak checker).
template <typename T>
void LeaveBehind(T&& value) {
  static_assert(!std::is_lvalue_reference_v<T>, "the value must be given away");
  struct Left final : internal::LeftBehind {
    explicit Left(T&& given) : left(std::move(given)) {}
    std::remove_cv_t<T> left;
  };
  internal::Keep(new Left(std::move(value)));
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_FORK_MARK_H_
