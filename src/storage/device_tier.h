// DeviceTier: one device with its pool, the host pools that serve it, its copy streams and its events.
//
// Thread-safety: the pools and the event pool lock for themselves; `time`, `stalls`, `transfers` and what follows that
// are guarded by the store's lock.
#ifndef TIERLIB_SRC_STORAGE_DEVICE_TIER_H_
#define TIERLIB_SRC_STORAGE_DEVICE_TIER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "allocator/block_pool.h"
#include "allocator/device_backend.h"
#include "allocator/memory_source.h"
#include "allocator/numa_topology.h"
#include "allocator/shared_limit.h"
#include "allocator/shared_tag_limits.h"
#include "base/fork_mark.h"
#include "base/mutex.h"
#include "storage/buffer.h"
#include "storage/direct_pool.h"
#include "storage/event_pool.h"
#include "storage/host_shortage.h"
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
  struct HostTierSettings {
    std::uint64_t bytes = 0;                        // that it may take
    std::shared_ptr<SharedLimit> shared = nullptr;  // those bytes, with other devices; null: all of it is for this one
    std::shared_ptr<SharedTagLimits> shared_tags = nullptr;  // `tags` of the tier, likewise
  };
  struct PoolSettings {
    HostTierSettings pinned;
    HostTierSettings pageable;
    HostTierSettings file;
    std::string file_directory;  // "": no file
    // Of each host tier of this device alone; the age only where runs need not be repeated.
    std::uint64_t cached_limit = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t cached_age_ns = 0;
    TierTagLimits tags;
    bool hardened = false;                                      // allocator/hardening.h
    std::shared_ptr<std::uint64_t> transfer_numbers = nullptr;  // as TransferEngine::Create has them
  };
  // Memory that is there already; null: the device's own, or the host's.
  struct GivenMemory {
    std::unique_ptr<MemorySource> device;
    std::unique_ptr<MemorySource> pinned;
  };
  // `backend` is the device that `options` describe. `recorder` may be null; it, `deferred` and `topology` outlive the
  // tier. Pinned memory is on the node of `topology` that the device is at.
  static StatusOr<std::unique_ptr<DeviceTier>> Create(const DeviceOptions& options,
                                                      std::unique_ptr<DeviceBackend> backend, PoolSettings settings,
                                                      Deferred& deferred, trace::Recorder* recorder,
                                                      NumaTopology& topology = MachineTopology(),
                                                      GivenMemory given = GivenMemory());

  const ForkMark fork;
  DeviceOptions options;
  std::unique_ptr<DeviceBackend> backend;
  std::unique_ptr<EventPool> events;
  std::unique_ptr<TimeLedger> time;
  std::unique_ptr<StallWatch> stalls;
  std::unique_ptr<BlockPool> pool;  // which stays empty where `direct` is there
  std::unique_ptr<BlockPool> pinned;
  std::unique_ptr<BlockPool> pageable;
  std::unique_ptr<BlockPool> file;  // null: none
  // By tier: the limit that its pool shares with those of `others`; null: with none. Fixed before the first allocation.
  std::array<std::shared_ptr<SharedLimit>, kTierCount> shared_limits;
  std::vector<DeviceTier*> others;
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

  // The largest alignment that can be asked for of a block on the device.
  std::size_t MostAlignment() const { return direct != nullptr ? backend->info().alignment : pool->base_alignment(); }

  // The pools of host memory that there are, in the order in which they are asked.
  absl::InlinedVector<BlockPool*, 3> HostPools() const;
  // The pool of a tier; null where there is none.
  BlockPool* PoolOf(Tier tier) const;

  // A block of host memory of one tier, as BlockPool::Allocate. Where the limit is shared, and full, what devices keep
  // of it unused goes back for that, the others' first, as far as no work may use it. ResourceExhausted where that is
  // not enough.
  StatusOr<void*> AllocateHostBlock(Tier tier, std::size_t bytes, Stream stream, trace::Tag tag,
                                    std::size_t alignment = 1);
  // A host block for a copy on `stream`: pinned, or pageable where that is full, or in the file where both are.
  // ResourceExhausted where all are. What pinned memory had no room for is counted, and in the trace.
  StatusOr<std::shared_ptr<HostBuffer>> AllocateHost(std::uint64_t bytes, Stream stream);
  // Counts bytes that AllocateHost had no place for. Apart from it, as who asks may ask again and again.
  // `recomputed`: the program computes them again; where not, they stay on the device.
  void NoteRefused(std::uint64_t bytes, bool recomputed) {
    NoteFallback(recomputed ? trace::kRecomputedInstead : trace::kNoTier, bytes);
  }
  HostFallbacks fallbacks() const;
  // Why AllocateHostBlock last had no room in a tier: made for the first request that is refused, and for smaller ones
  // after it, until there is room for as much again. nullopt where there always was.
  std::optional<Shortage> last_host_shortage(Tier tier) const;

 private:
  // Has the others, and then this one, give unused memory of a tier back where that makes room for `bytes` within the
  // limit they share. True where it left more than before.
  bool MakeRoom(Tier tier, std::uint64_t bytes);
  // Explains it where that is news.
  void NoteHostRefused(const HostRequest& request);
  void NoteHostHadRoom(Tier tier, std::size_t bytes);
  // `where`: as HostFallback's detail in the event table.
  void NoteFallback(std::uint16_t where, std::uint64_t bytes);

  trace::Recorder* recorder_ = nullptr;
  mutable Mutex fallbacks_mutex_;
  HostFallbacks fallbacks_ ABSL_GUARDED_BY(fallbacks_mutex_);
  // By tier: the smallest request that was refused since there was room for as much; kNoneRefused: none.
  static constexpr std::uint64_t kNoneRefused = std::numeric_limits<std::uint64_t>::max();
  std::array<std::atomic<std::uint64_t>, kTierCount> refused_ = {kNoneRefused, kNoneRefused, kNoneRefused,
                                                                 kNoneRefused};
  mutable Mutex shortages_mutex_;
  std::array<std::optional<Shortage>, kTierCount> host_shortages_ ABSL_GUARDED_BY(shortages_mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DEVICE_TIER_H_
