// DirectPool: device blocks straight from the device's own allocator in stream order (DeviceBacking::kMallocAsync),
// with BlockPool's promises: a block may be used by work enqueued on its stream from now on, and is used again after
// the work of every stream it is freed on. It counts what it hands out, and hands out no more than the device's
// capacity.
//
//   I1  the accounts are the sums over the live blocks
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_STORAGE_DIRECT_POOL_H_
#define TIERLIB_SRC_STORAGE_DIRECT_POOL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/types/span.h"
#include "allocator/address_map.h"
#include "allocator/device_backend.h"
#include "allocator/tag_accounts.h"
#include "base/mutex.h"
#include "storage/event_pool.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "trace/recorder.h"

namespace tierlib {

class DirectPool {
 public:
  // Unimplemented where the device has no such allocator. REQUIRES: device and events outlive it, and so does the
  // recorder where there is one.
  static StatusOr<std::unique_ptr<DirectPool>> Create(DeviceBackend& device, EventPool& events, const TagLimits& limits,
                                                      trace::Recorder* recorder);
  // REQUIRES: every block was freed.
  ~DirectPool();
  DirectPool(const DirectPool&) = delete;
  DirectPool& operator=(const DirectPool&) = delete;

  // ResourceExhausted, without a message, where the capacity, the tag's limit or the device does not hold it.
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag);
  // REQUIRES: a live block (aborts otherwise).
  void Free(void* block, absl::Span<const Stream> streams);

  // Names who has a live block, for Find: 0 since Allocate. REQUIRES: live, as for Free.
  void SetOwner(const void* block, std::uint64_t owner);
  // The live block that covers the address, under `offset` 0; false where none does. Memory that the device keeps
  // free cannot be told from memory of others.
  bool Find(const void* address, AddressMap::Found* found) const;

  // `reserved` is the device's word; what it has cached beyond the live blocks may be pending too. No holes are known.
  TierStatistics statistics() const;
  std::size_t live_bytes() const;  // live + waste
  std::size_t capacity() const { return device_.info().capacity; }
  std::size_t Rounded(std::size_t bytes) const;
  std::size_t LimitOfTag(trace::Tag tag) const { return limits_[static_cast<std::size_t>(tag)]; }
  // What the limit of a tag leaves.
  std::size_t RoomOfTag(trace::Tag tag) const;

 private:
  struct Live {
    std::size_t asked = 0;
    std::size_t rounded = 0;
    trace::Tag tag = trace::Tag::kNone;
    std::uint64_t owner = 0;
  };
  using Blocks = std::map<std::uintptr_t, Live>;  // by address
  // The live block that starts there. Aborts with `otherwise` where there is none.
  Blocks::iterator LiveAt(const void* block, const char* otherwise) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  DirectPool(DeviceBackend& device, EventPool& events, const TagLimits& limits, trace::Recorder* recorder, Stream frees)
      : device_(device), events_(events), frees_(frees), limits_(limits), recorder_(recorder) {}

  DeviceBackend& device_;
  EventPool& events_;
  const Stream frees_;  // of our own: for blocks that several streams used, or one that is gone
  const TagLimits limits_;
  trace::Recorder* const recorder_;
  mutable Mutex mutex_;
  TagAccounts accounts_ ABSL_GUARDED_BY(mutex_);
  Blocks live_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DIRECT_POOL_H_
