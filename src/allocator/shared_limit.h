// SharedLimit: bytes that several memory sources may take between them, and a MemorySource that draws on them.
//
// The host memory of several devices has one limit (Options::pinned_limit): each has a pool of its own, on its own node
// and with its own streams, and any of them may take all of it. So what one pool keeps free is not there for another;
// DeviceTier asks for it before a tier counts as full.
#ifndef TIERLIB_SRC_ALLOCATOR_SHARED_LIMIT_H_
#define TIERLIB_SRC_ALLOCATOR_SHARED_LIMIT_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "allocator/memory_source.h"

namespace tierlib {

// Thread-safety: any thread may call anything.
class SharedLimit {
 public:
  explicit SharedLimit(std::uint64_t bytes) : bytes_(bytes) {}
  SharedLimit(const SharedLimit&) = delete;
  SharedLimit& operator=(const SharedLimit&) = delete;

  // False, having taken nothing, where fewer are left.
  bool Take(std::uint64_t bytes) {
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);  // a count alone: it orders nothing
    do {
      if (bytes > bytes_ - taken) return false;
    } while (!taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
    return true;
  }
  // REQUIRES: they were taken.
  void GiveBack(std::uint64_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t left() const { return bytes_ - taken_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t bytes_;
  std::atomic<std::uint64_t> taken_{0};
};

// `source`, whose Grow and Commit are ResourceExhausted beyond what the limit leaves. What it has counts against the
// limit until it goes back, or the source is gone.
std::unique_ptr<MemorySource> WithLimit(std::unique_ptr<MemorySource> source, std::shared_ptr<SharedLimit> limit);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_SHARED_LIMIT_H_
