#include "storage/device_tier.h"

#include <algorithm>
#include <new>
#include <utility>

#include "allocator/faulty_source.h"
#include "allocator/file_source.h"
#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

// What every pool of a tier is made with.
struct PoolParts {
  const DeviceTier::PoolSettings& settings;
  trace::Recorder* recorder = nullptr;
  Faults* faults = nullptr;
};

StatusOr<std::unique_ptr<BlockPool>> MakePool(std::unique_ptr<MemorySource> source, DeviceBackend& device,
                                              const PoolParts& parts, CacheBounds cache = {},
                                              WaitWatch* watch = nullptr, std::uint64_t spare_bytes = 0) {
  BlockPool::Options options;
  options.spare_bytes = static_cast<std::size_t>(spare_bytes);
  options.watch = watch;
  options.cache = cache;
  options.tag_limits = parts.settings.tags.Of(source->tier());
  if (parts.settings.hardened) {
    TIERLIB_ASSIGN_OR_RETURN(options.hardening, device.CreateStream("hardening"));
    options.quarantine_bytes = std::min<std::size_t>(options.quarantine_bytes, source->capacity() / 8);
  }
  options.source = std::move(source);
  options.device = &device;
  options.alignment = device.info().alignment;
  options.recorder = parts.recorder;
  options.faults = parts.faults;
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

StatusOr<std::unique_ptr<BlockPool>> MakeHostPool(const DeviceOptions& device, const HostSourceOptions& options,
                                                  const PoolParts& parts, CacheBounds cache) {
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<MemorySource> source, MakeHostSource(options));
  if (options.tier == Tier::kPinned && !IsRepeatable(device)) {
    source = GrowAhead(std::move(source), BlockPool::Options().growth);
  }
  if (parts.faults != nullptr) source = MakeFaultySource(std::move(source), *parts.faults);
  return MakePool(std::move(source), *options.device, parts, cache);
}

}  // namespace

DeviceTier::~DeviceTier() {
  if (fork.in_child()) {
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
                                                         NumaTopology& topology) {
  auto tier = std::make_unique<DeviceTier>();
  tier->options = options;
  tier->recorder_ = recorder;
  tier->backend = std::move(backend);
  DeviceBackend& device = *tier->backend;
  tier->events = std::make_unique<EventPool>(device);
  tier->time = std::make_unique<TimeLedger>(device, *tier->events);
  tier->stalls = std::make_unique<StallWatch>(device, *tier->events, *tier->time, recorder);
  const PoolParts parts{settings, recorder, options.faults.get()};
  const bool whole = options.backing == DeviceBacking::kMalloc;
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<MemorySource> source,
                           whole ? MakeWholeDeviceSource(device) : MakeDeviceSource(device));
  TIERLIB_ASSIGN_OR_RETURN(
      tier->pool, MakePool(std::move(source), device, parts, CacheBounds(), tier->stalls.get(), options.spare_bytes));
  HostSourceOptions host;
  host.numa_node = ChooseNode(options.kind, device.info().numa_node, topology);
  host.shape_only = device.info().shape_only;
  host.device = &device;
  host.topology = &topology;
  host.tier = Tier::kPinned;
  host.capacity = settings.pinned;
  CacheBounds cache = settings.cache;
  if (IsRepeatable(options)) cache.age_ns = 0;
  TIERLIB_ASSIGN_OR_RETURN(tier->pinned, MakeHostPool(options, host, parts, cache));
  host.tier = Tier::kPageable;
  host.capacity = settings.pageable;
  TIERLIB_ASSIGN_OR_RETURN(tier->pageable, MakeHostPool(options, host, parts, cache));
  if (!settings.file_directory.empty()) {
    host.tier = Tier::kFile;
    host.capacity = settings.file;
    TIERLIB_ASSIGN_OR_RETURN(
        source, host.shape_only ? MakeHostSource(host) : MakeFileSource(settings.file_directory, settings.file));
    if (options.faults != nullptr) source = MakeFaultySource(std::move(source), *options.faults);
    TIERLIB_ASSIGN_OR_RETURN(tier->file, MakePool(std::move(source), device, parts, cache));
  }
  if (options.backing == DeviceBacking::kMallocAsync) {
    TIERLIB_ASSIGN_OR_RETURN(tier->direct,
                             DirectPool::Create(device, *tier->events, settings.tags.Of(Tier::kDevice), recorder));
  }
  tier->keepalives = std::make_unique<KeepaliveQueue>(device, *tier->events, deferred);
  TIERLIB_ASSIGN_OR_RETURN(tier->transfers,
                           TransferEngine::Create(device, *tier->events, recorder, tier->time.get(),
                                                  CopyLimits{options.chunk_bytes, options.coalesce_bytes}));
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

StatusOr<std::shared_ptr<HostBuffer>> DeviceTier::AllocateHost(std::uint64_t bytes, Stream stream) {
  for (BlockPool* host : HostPools()) {
    const StatusOr<void*> block = host->Allocate(bytes, stream, trace::Tag::kSaved);
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
