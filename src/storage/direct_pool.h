// DirectPool: device blocks straight from the device's own allocator in stream order (DeviceBacking::kMallocAsync),
// with BlockPool's promises: a block may be used by work enqueued on its stream from now on, and is used again after
// the work of every stream it is freed on. It counts what it hands out, and hands out no more than the device's
// capacity. In hardened mode (allocator/hardening.h) its blocks have guards and a quarantine as BlockPool's have.
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
#include <optional>

#include "absl/types/span.h"
#include "allocator/address_map.h"
#include "allocator/device_backend.h"
#include "allocator/hardening.h"
#include "allocator/plain_blocks.h"
#include "allocator/stream_labels.h"
#include "allocator/tag_accounts.h"
#include "base/mutex.h"
#include "storage/event_pool.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "trace/recorder.h"

namespace tierlib {

class Faults;

class DirectPool {
 public:
  struct Options {
    TagLimits tag_limits = NoTagLimits();
    trace::Recorder* recorder = nullptr;
    Faults* faults = nullptr;  // what is to fail, in tests
    // Hardened mode: the most that its quarantine holds back. None: not hardened.
    std::optional<std::size_t> quarantine_bytes;
  };
  // Unimplemented where the device has no such allocator. REQUIRES: device and events outlive it, and so do the
  // recorder and the faults where there are any.
  static StatusOr<std::unique_ptr<DirectPool>> Create(DeviceBackend& device, EventPool& events, const Options& options);
  // REQUIRES: every block was freed, and no graph of the program's that uses one is launched any more.
  ~DirectPool();
  DirectPool(const DirectPool&) = delete;
  DirectPool& operator=(const DirectPool&) = delete;

  // ResourceExhausted, without a message, where the capacity, the tag's limit or the device does not hold it. On
  // std::bad_alloc nothing has changed.
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag);
  // REQUIRES: a live block (aborts otherwise). A block that is freed on a stream in a capture of the program's own
  // stays live, and booked, until the pool goes: the graph uses it in every launch.
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
  // What a block of so many bytes takes, with its guards.
  std::size_t Rounded(std::size_t bytes) const;
  std::size_t LimitOfTag(trace::Tag tag) const { return options_.tag_limits[static_cast<std::size_t>(tag)]; }
  // What the limit of a tag leaves.
  std::size_t RoomOfTag(trace::Tag tag) const;
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  class Plain;  // what Hardening stands on: the pool without it
  struct Live {
    std::size_t asked = 0;
    std::size_t rounded = 0;
    trace::Tag tag = trace::Tag::kNone;
    std::uint64_t owner = 0;
    void* freed_in_capture = nullptr;  // as it was given to Free
  };
  using Blocks = std::map<std::uintptr_t, Live>;  // by address
  // The live block that starts there. Aborts where there is none: `use` says what the address was given for.
  Blocks::iterator LiveAt(const void* block, const char* use) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::size_t PlainRounded(std::size_t bytes) const;
  // Leaves the block to the graph of which one of the streams is in the capture; false where none is in any.
  bool LeaveToGraph(void* block, absl::Span<const Stream> streams);
  StatusOr<void*> AllocateBlock(std::size_t bytes, Stream stream, trace::Tag tag);
  void FreeBlock(void* block, absl::Span<const Stream> streams);

  DirectPool(DeviceBackend& device, EventPool& events, const Options& options, Stream frees);

  DeviceBackend& device_;
  EventPool& events_;
  const Stream frees_;  // of our own: for blocks that several streams used, or one that is gone
  const Options options_;
  mutable Mutex mutex_;
  StreamLabels stream_labels_ ABSL_GUARDED_BY(mutex_);
  TagAccounts accounts_ ABSL_GUARDED_BY(mutex_);
  Blocks live_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<PlainBlocks> plain_;    // for the next one, if there is any
  std::unique_ptr<Hardening> hardening_;  // null: not hardened. Has a lock of its own, taken before `mutex_`
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DIRECT_POOL_H_
