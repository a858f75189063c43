// DeviceTier: one device with its pool, the host pools that serve it, its copy streams and its events.
//
// Thread-safety: the pools and the event pool lock for themselves; `time`, `stalls`, `transfers` and what follows that
// are guarded by the store's lock.
#ifndef TIERLIB_SRC_STORAGE_DEVICE_TIER_H_
#define TIERLIB_SRC_STORAGE_DEVICE_TIER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "allocator/block_pool.h"
#include "allocator/device_backend.h"
#include "allocator/numa_topology.h"
#include "base/fork_mark.h"
#include "base/mutex.h"
#include "storage/buffer.h"
#include "storage/direct_pool.h"
#include "storage/event_pool.h"
#include "storage/stall_watch.h"
#include "storage/tag_limits.h"
#include "storage/time_ledger.h"
#include "storage/transfer_engine.h"
#include "tierlib/options.h"
#include "tierlib/shortage.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "tierlib/tier.h"
#include "trace/recorder.h"

namespace tierlib {

// Members are destroyed from the last to the first: copies end before the memory they use goes away.
struct DeviceTier {
  DeviceTier() = default;
  // Waits for the device's work: the pools' memory goes away. In a child made by fork leaves everything behind.
  ~DeviceTier();
  struct PoolSettings {
    std::uint64_t pinned = 0;  // bytes that each host tier may take
    std::uint64_t pageable = 0;
    std::uint64_t file = 0;
    std::string file_directory;  // "": no file
    CacheBounds cache;           // of each host tier; the age only where runs need not be repeated
    TierTagLimits tags;
    bool hardened = false;  // allocator/hardening.h
  };
  // `backend` is the device that `options` describe. `recorder` may be null; it, `deferred` and `topology` outlive the
  // tier. Pinned memory is on the node of `topology` that the device is at.
  static StatusOr<std::unique_ptr<DeviceTier>> Create(const DeviceOptions& options,
                                                      std::unique_ptr<DeviceBackend> backend, PoolSettings settings,
                                                      Deferred& deferred, trace::Recorder* recorder,
                                                      NumaTopology& topology = MachineTopology());

  const ForkMark fork;
  DeviceOptions options;
  std::unique_ptr<DeviceBackend> backend;
  std::unique_ptr<EventPool> events;
  std::unique_ptr<TimeLedger> time;
  std::unique_ptr<StallWatch> stalls;
  std::unique_ptr<BlockPool> pool;  // which stays empty where `direct` is there
  std::unique_ptr<BlockPool> pinned;
  std::unique_ptr<BlockPool> pageable;
  std::unique_ptr<BlockPool> file;     // null: none
  std::unique_ptr<DirectPool> direct;  // with DeviceBacking::kMallocAsync alone
  std::unique_ptr<KeepaliveQueue> keepalives;
  std::unique_ptr<TransferEngine> transfers;

  std::uint64_t prefetched_bytes = 0;  // on the device, and not used yet
  int prefetch_pause = 0;              // values yet to be asked for before anything is brought back ahead
  Shortages shortages;
  std::optional<Shortage> last_shortage;

  // BlockPool::Tick of every pool. Before a copy on `stream` is enqueued, so that blocks freed there do not wait for
  // it.
  void Tick(Stream stream);

  // What the device holds of tierlib's memory, rounding included.
  std::uint64_t LiveBytes() const { return direct != nullptr ? direct->live_bytes() : pool->live_bytes(); }

  // The pools of host memory that there are, in the order in which they are asked.
  absl::InlinedVector<BlockPool*, 3> HostPools() const;
  // The pool of a tier; null where there is none.
  BlockPool* PoolOf(Tier tier) const;

  // A host block for a copy on `stream`: pinned, or pageable where that is full, or in the file where both are.
  // ResourceExhausted where all are. What pinned memory had no room for is counted, and in the trace.
  StatusOr<std::shared_ptr<HostBuffer>> AllocateHost(std::uint64_t bytes, Stream stream);
  // Counts bytes that AllocateHost had no place for. Apart from it, as who asks may ask again and again.
  // `recomputed`: the program computes them again; where not, they stay on the device.
  void NoteRefused(std::uint64_t bytes, bool recomputed) {
    NoteFallback(recomputed ? trace::kRecomputedInstead : trace::kNoTier, bytes);
  }
  HostFallbacks fallbacks() const;

 private:
  // `where`: as HostFallback's detail in the event table.
  void NoteFallback(std::uint16_t where, std::uint64_t bytes);

  trace::Recorder* recorder_ = nullptr;
  mutable Mutex fallbacks_mutex_;
  HostFallbacks fallbacks_ ABSL_GUARDED_BY(fallbacks_mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DEVICE_TIER_H_
