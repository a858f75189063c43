// SharedTagLimits: limits of tags for a tier whose memory several pools have between them, and what the live blocks of
// all of them take. The host's memory is such a tier where there are several devices: each has a pool of its own, and
// any of them may take all that a limit leaves (allocator/shared_limit.h has the same for the memory itself).
//
// Thread-safety: any thread may call anything. Pools do, under their own locks.
#ifndef TIERLIB_SRC_ALLOCATOR_SHARED_TAG_LIMITS_H_
#define TIERLIB_SRC_ALLOCATOR_SHARED_TAG_LIMITS_H_

#include <array>
#include <atomic>
#include <cstddef>

#include "allocator/tag_accounts.h"
#include "trace/event.h"

namespace tierlib {

class SharedTagLimits {
 public:
  explicit SharedTagLimits(const TagLimits& limits) : limits_(limits) {}
  SharedTagLimits(const SharedTagLimits&) = delete;
  SharedTagLimits& operator=(const SharedTagLimits&) = delete;

  // False, having taken nothing, where the limit leaves fewer bytes.
  bool Take(trace::Tag tag, std::size_t bytes) {
    std::atomic<std::size_t>& taken = taken_[Index(tag)];
    std::size_t before = taken.load(std::memory_order_relaxed);  // a count alone: it orders nothing
    do {
      if (bytes > Left(tag, before)) return false;
    } while (!taken.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
    return true;
  }
  // Counts bytes that are there already, also beyond the limit.
  void Add(trace::Tag tag, std::size_t bytes) { taken_[Index(tag)].fetch_add(bytes, std::memory_order_relaxed); }
  // REQUIRES: they were taken or added.
  void GiveBack(trace::Tag tag, std::size_t bytes) { taken_[Index(tag)].fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t limit(trace::Tag tag) const { return limits_[Index(tag)]; }
  std::size_t left(trace::Tag tag) const { return Left(tag, taken_[Index(tag)].load(std::memory_order_relaxed)); }

 private:
  static std::size_t Index(trace::Tag tag) { return static_cast<std::size_t>(tag); }
  std::size_t Left(trace::Tag tag, std::size_t taken) const {
    return limit(tag) - (taken < limit(tag) ? taken : limit(tag));
  }

  const TagLimits limits_;
  std::array<std::atomic<std::size_t>, trace::kTagCount> taken_{};
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_SHARED_TAG_LIMITS_H_
