#include "storage/device_tier.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "allocator/faulty_source.h"
#include "allocator/file_source.h"
#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"
#include "tierlib/bytes.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

// What every pool of a tier is made with.
struct PoolParts {
  const DeviceTier::PoolSettings& settings;
  trace::Recorder* recorder = nullptr;
  Faults* faults = nullptr;
  bool threads_take_turns = false;
};

// The most that hardened mode holds back of a tier.
std::size_t QuarantineFor(std::uint64_t capacity) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(MiB(64), capacity / 8));
}

// `options`: what is particular to the pool.
StatusOr<std::unique_ptr<BlockPool>> MakePool(std::unique_ptr<MemorySource> source, DeviceBackend& device,
                                              const PoolParts& parts, BlockPool::Options options = {}) {
  options.tag_limits = parts.settings.tags.Of(source->tier());
  if (parts.settings.hardened) {
    TIERLIB_ASSIGN_OR_RETURN(options.hardening, device.CreateStream("hardening"));
    options.quarantine_bytes = QuarantineFor(source->capacity());
  }
  options.source = std::move(source);
  options.device = &device;
  options.alignment = device.info().alignment;
  options.recorder = parts.recorder;
  options.faults = parts.faults;
  options.threads_take_turns = parts.threads_take_turns;
  return std::make_unique<BlockPool>(std::move(options));
}

// The node that the device's host memory is to be on; -1: that of the calling thread. A node that an option names is
// passed on, good or bad. What a CUDA device is at is a fact, and this process may have been given memory elsewhere.
int ChooseNode(DeviceKind kind, int node, const NumaTopology& topology) {
  return kind == DeviceKind::kCuda && !topology.MayUse(node) ? -1 : node;
}

// Whether runs are to be repeated: then no thread of ours grows memory ahead, and no clock says when it goes back.
bool IsRepeatable(const DeviceOptions& options) {
  return options.kind == DeviceKind::kEmulated &&  // shape-only is a schedule too
         options.emulated.schedule != EmulatedSchedule::kThreaded;
}

CacheBounds BoundsFor(const DeviceOptions& device, std::uint64_t bytes, std::uint64_t age_ns) {
  if (IsRepeatable(device)) age_ns = 0;
  constexpr std::uint64_t kMostAge = std::numeric_limits<std::int64_t>::max();
  return {bytes, static_cast<std::int64_t>(std::min(age_ns, kMostAge))};
}

// The pool of a host tier over its memory. What is grown ahead counts against a shared limit.
StatusOr<std::unique_ptr<BlockPool>> MakeHostPool(std::unique_ptr<MemorySource> source,
                                                  const DeviceTier::HostTierSettings& of, const DeviceOptions& options,
                                                  DeviceBackend& device, const PoolParts& parts, CacheBounds cache) {
  BlockPool::Options pool;
  pool.cache = cache;
  pool.shared_tag_limits = of.shared_tags;
  if (of.shared != nullptr) {
    // A piece that is used in part is there for its own pool alone: of a small limit, each takes small ones.
    const std::size_t page = source->granularity();
    const auto part = static_cast<std::size_t>(source->capacity() / 16 / page * page);
    pool.growth = std::min(pool.growth, std::max(part, page));
    source = WithLimit(std::move(source), of.shared);
  }
  if (source->tier() == Tier::kPinned && !IsRepeatable(options)) source = GrowAhead(std::move(source), pool.growth);
  if (parts.faults != nullptr) source = MakeFaultySource(std::move(source), *parts.faults);
  return MakePool(std::move(source), device, parts, std::move(pool));
}

}  // namespace

DeviceTier::~DeviceTier() {
  if (fork.in_child()) {
    LeaveBehind(std::move(direct));
    LeaveBehind(std::move(transfers));
    LeaveBehind(std::move(keepalives));
    LeaveBehind(std::move(stalls));
    LeaveBehind(std::move(time));
    LeaveBehind(std::move(events));
    return;  // the others know
  }
  if (backend != nullptr) (void)backend->Synchronize();
}

StatusOr<std::unique_ptr<DeviceTier>> DeviceTier::Create(const DeviceOptions& options,
                                                         std::unique_ptr<DeviceBackend> backend, PoolSettings settings,
                                                         Deferred& deferred, trace::Recorder* recorder,
                                                         NumaTopology& topology, GivenMemory given) {
  auto tier = std::make_unique<DeviceTier>();
  tier->options = options;
  tier->recorder_ = recorder;
  tier->backend = std::move(backend);
  DeviceBackend& device = *tier->backend;
  tier->events = std::make_unique<EventPool>(device);
  tier->time = std::make_unique<TimeLedger>(device, *tier->events);
  tier->stalls = std::make_unique<StallWatch>(device, *tier->events, *tier->time, recorder);
  const PoolParts parts{settings, recorder, options.faults.get(), options.allocating_threads_take_turns};
  const bool whole = options.backing == DeviceBacking::kMalloc;
  std::unique_ptr<MemorySource> source = std::move(given.device);
  BlockPool::Options pool;
  pool.watch = tier->stalls.get();
  pool.spare_bytes = static_cast<std::size_t>(options.spare_bytes);
  if (source == nullptr) {  // memory that is given stays
    TIERLIB_ASSIGN_OR_RETURN(source, whole ? MakeWholeDeviceSource(device) : MakeDeviceSource(device));
    pool.cache = BoundsFor(options, options.cached_limit, options.cached_age_ns);
  }
  TIERLIB_ASSIGN_OR_RETURN(tier->pool, MakePool(std::move(source), device, parts, std::move(pool)));
  HostSourceOptions host;
  host.numa_node = ChooseNode(options.kind, device.info().numa_node, topology);
  host.shape_only = device.info().shape_only;
  host.device = &device;
  host.topology = &topology;
  const CacheBounds cache = BoundsFor(options, settings.cached_limit, settings.cached_age_ns);
  const auto make_pool = [&](std::unique_ptr<MemorySource> memory, const HostTierSettings& of) {
    tier->shared_limits[static_cast<std::size_t>(memory->tier())] = of.shared;
    return MakeHostPool(std::move(memory), of, options, device, parts, cache);
  };
  host.tier = Tier::kPinned;
  host.capacity = settings.pinned.bytes;
  if (given.pinned != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(tier->pinned, MakePool(std::move(given.pinned), device, parts));
  } else {
    TIERLIB_ASSIGN_OR_RETURN(source, MakeHostSource(host));
    TIERLIB_ASSIGN_OR_RETURN(tier->pinned, make_pool(std::move(source), settings.pinned));
  }
  host.tier = Tier::kPageable;
  host.capacity = settings.pageable.bytes;
  TIERLIB_ASSIGN_OR_RETURN(source, MakeHostSource(host));
  TIERLIB_ASSIGN_OR_RETURN(tier->pageable, make_pool(std::move(source), settings.pageable));
  if (!settings.file_directory.empty()) {
    host.tier = Tier::kFile;
    host.capacity = settings.file.bytes;
    TIERLIB_ASSIGN_OR_RETURN(
        source, host.shape_only ? MakeHostSource(host) : MakeFileSource(settings.file_directory, settings.file.bytes));
    TIERLIB_ASSIGN_OR_RETURN(tier->file, make_pool(std::move(source), settings.file));
  }
  if (options.backing == DeviceBacking::kMallocAsync) {
    DirectPool::Options direct;
    direct.tag_limits = settings.tags.Of(Tier::kDevice);
    direct.recorder = recorder;
    direct.faults = options.faults.get();
    if (settings.hardened) direct.quarantine_bytes = QuarantineFor(device.info().capacity);
    TIERLIB_ASSIGN_OR_RETURN(tier->direct, DirectPool::Create(device, *tier->events, direct));
  }
  tier->keepalives = std::make_unique<KeepaliveQueue>(device, *tier->events, deferred);
  TIERLIB_ASSIGN_OR_RETURN(
      tier->transfers,
      TransferEngine::Create(device, *tier->events, recorder, tier->time.get(),
                             CopyLimits{options.chunk_bytes, options.coalesce_bytes}, settings.transfer_numbers));
  tier->stalls->SetCopyStreams(tier->transfers->out_stream(), tier->transfers->in_stream());
  return tier;
}

void DeviceTier::Tick(Stream stream) {
  pool->Tick(stream);
  for (BlockPool* one : HostPools()) one->Tick(stream);
}

absl::InlinedVector<BlockPool*, 3> DeviceTier::HostPools() const {
  absl::InlinedVector<BlockPool*, 3> pools = {pinned.get(), pageable.get()};
  if (file != nullptr) pools.push_back(file.get());
  return pools;
}

BlockPool* DeviceTier::PoolOf(Tier tier) const {
  switch (tier) {
    case Tier::kDevice: return pool.get();
    case Tier::kPinned: return pinned.get();
    case Tier::kPageable: return pageable.get();
    case Tier::kFile: return file.get();
  }
  return nullptr;
}

StatusOr<void*> DeviceTier::AllocateHostBlock(Tier tier, std::size_t bytes, Stream stream, trace::Tag tag,
                                              std::size_t alignment) {
  BlockPool& host = *PoolOf(tier);
  StatusOr<void*> block = host.Allocate(bytes, stream, tag, alignment);
  if (block.status().code() == StatusCode::kResourceExhausted && MakeRoom(tier, bytes)) {
    block = host.Allocate(bytes, stream, tag, alignment);
  }
  if (block.ok()) NoteHostHadRoom(tier, bytes);
  if (block.status().code() == StatusCode::kResourceExhausted) NoteHostRefused({tier, bytes, tag, alignment});
  return block;
}

void DeviceTier::NoteHostHadRoom(Tier tier, std::size_t bytes) {
  std::atomic<std::uint64_t>& refused = refused_[static_cast<std::size_t>(tier)];
  if (bytes >= refused.load(std::memory_order_relaxed)) refused.store(kNoneRefused, std::memory_order_relaxed);
}

void DeviceTier::NoteHostRefused(const HostRequest& request) {
  std::atomic<std::uint64_t>& refused = refused_[static_cast<std::size_t>(request.tier)];
  if (request.bytes >= refused.load(std::memory_order_relaxed)) return;
  try {
    std::optional<Shortage> shortage = ExplainHostShortage(*this, request);
    MutexLock lock(shortages_mutex_);
    host_shortages_[static_cast<std::size_t>(request.tier)].swap(shortage);
  } catch (const std::bad_alloc&) {  // the next one is explained
    return;
  }
  refused.store(request.bytes, std::memory_order_relaxed);
}

std::optional<Shortage> DeviceTier::last_host_shortage(Tier tier) const {
  MutexLock lock(shortages_mutex_);
  return host_shortages_[static_cast<std::size_t>(tier)];
}

bool DeviceTier::MakeRoom(Tier tier, std::uint64_t bytes) {
  const SharedLimit* const limit = shared_limits[static_cast<std::size_t>(tier)].get();
  if (limit == nullptr) return false;
  constexpr std::uint64_t kRounding = MiB(2);  // memory grows by whole pages, from an aligned place on
  const std::uint64_t wanted = std::min(bytes, limit->bytes()) + kRounding;
  const std::uint64_t before = limit->left();
  if (before >= wanted) return false;  // it failed for another reason
  const auto used_by = [tier](const DeviceTier& device) {
    BlockPool& host = *device.PoolOf(tier);
    (void)host.TrimEnded(0);  // what was made ready ahead is there for all
    const TierStatistics now = host.statistics();
    return now.live + now.waste;
  };
  std::uint64_t used = used_by(*this);
  for (const DeviceTier* const other : others) used += used_by(*other);
  if (limit->bytes() >= used + bytes) {  // otherwise it would be taken in vain
    for (const DeviceTier* const other : others) {
      const std::uint64_t left = limit->left();
      if (left < wanted) (void)other->PoolOf(tier)->TrimEnded(wanted - left);
    }
    // Free memory of this one's own may lie in holes that are each too small, where the end of its range is not.
    BlockPool& own = *PoolOf(tier);
    const std::uint64_t left = limit->left();
    if (left < bytes && own.LargestHole() >= bytes) (void)own.TrimEnded(wanted - left);
  }
  return limit->left() > before;
}

StatusOr<std::shared_ptr<HostBuffer>> DeviceTier::AllocateHost(std::uint64_t bytes, Stream stream) {
  for (BlockPool* host : HostPools()) {
    const StatusOr<void*> block = AllocateHostBlock(host->tier(), bytes, stream, trace::Tag::kSaved);
    if (block.ok()) {
      if (host != pinned.get()) NoteFallback(static_cast<std::uint16_t>(host->tier()), bytes);
      try {
        auto buffer = std::make_shared<HostBuffer>(*host, *block, bytes);
        buffer->UsedOn(stream);
        return buffer;
      } catch (const std::bad_alloc&) {
        host->Free(*block, {&stream, 1});
        throw;
      }
    }
    if (block.status().code() != StatusCode::kResourceExhausted) return block.status();
  }
  return Status(StatusCode::kResourceExhausted);
}

HostFallbacks DeviceTier::fallbacks() const {
  MutexLock lock(fallbacks_mutex_);
  return fallbacks_;
}

void DeviceTier::NoteFallback(std::uint16_t where, std::uint64_t bytes) {
  trace::Write(recorder_, trace::Event::kHostFallback, trace::Tag::kSaved, where, 0, 0, bytes);
  MutexLock lock(fallbacks_mutex_);
  const auto count = [bytes](std::uint64_t& values, std::uint64_t& sum) {
    ++values;
    sum += bytes;
  };
  switch (where) {
    case static_cast<std::uint16_t>(Tier::kPageable):
      return count(fallbacks_.to_pageable, fallbacks_.to_pageable_bytes);
    case static_cast<std::uint16_t>(Tier::kFile): return count(fallbacks_.to_file, fallbacks_.to_file_bytes);
    case trace::kRecomputedInstead: return count(fallbacks_.to_recompute, fallbacks_.to_recompute_bytes);
    default: return count(fallbacks_.refused, fallbacks_.refused_bytes);
  }
}

}  // namespace tierlib
