#include "storage/device_tier.h"

#include <utility>

#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"

namespace tierlib {
namespace {

StatusOr<std::unique_ptr<BlockPool>> MakePool(std::unique_ptr<MemorySource> source, DeviceBackend& device,
                                              trace::Recorder* recorder) {
  BlockPool::Options options;
  options.source = std::move(source);
  options.device = &device;
  options.alignment = device.info().alignment;
  options.recorder = recorder;
  return std::make_unique<BlockPool>(std::move(options));
}

// The node that the device's host memory is to be on; -1: that of the calling thread. A node that an option names is
// passed on, good or bad. What a CUDA device is at is a fact, and this process may have been given memory elsewhere.
int ChooseNode(DeviceKind kind, int node, const NumaTopology& topology) {
  return kind == DeviceKind::kCuda && !topology.MayUse(node) ? -1 : node;
}

// Whether a thread may grow the device's pinned memory ahead. Where there is no memory there is no need, and a run that
// is to be repeated has no threads of ours.
bool GrowsAhead(const DeviceOptions& options, const HostSourceOptions& host) {
  const bool repeatable = options.kind == DeviceKind::kEmulated &&  // shape-only is a schedule too
                          options.emulated.schedule != EmulatedSchedule::kThreaded;
  return host.tier == Tier::kPinned && !repeatable;
}

StatusOr<std::unique_ptr<BlockPool>> MakeHostPool(const DeviceOptions& device, const HostSourceOptions& options,
                                                  trace::Recorder* recorder) {
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<MemorySource> source, MakeHostSource(options));
  if (GrowsAhead(device, options)) source = GrowAhead(std::move(source), BlockPool::Options().growth);
  return MakePool(std::move(source), *options.device, recorder);
}

}  // namespace

DeviceTier::~DeviceTier() {
  if (backend != nullptr) (void)backend->Synchronize();
}

StatusOr<std::unique_ptr<DeviceTier>> DeviceTier::Create(const DeviceOptions& options,
                                                         std::unique_ptr<DeviceBackend> backend, HostLimits limits,
                                                         Deferred& deferred, trace::Recorder* recorder,
                                                         NumaTopology& topology) {
  auto tier = std::make_unique<DeviceTier>();
  tier->options = options;
  tier->backend = std::move(backend);
  DeviceBackend& device = *tier->backend;
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<MemorySource> source, MakeDeviceSource(device));
  TIERLIB_ASSIGN_OR_RETURN(tier->pool, MakePool(std::move(source), device, recorder));
  HostSourceOptions host;
  host.numa_node = ChooseNode(options.kind, device.info().numa_node, topology);
  host.shape_only = device.info().shape_only;
  host.device = &device;
  host.topology = &topology;
  host.tier = Tier::kPinned;
  host.capacity = limits.pinned;
  TIERLIB_ASSIGN_OR_RETURN(tier->pinned, MakeHostPool(options, host, recorder));
  host.tier = Tier::kPageable;
  host.capacity = limits.pageable;
  TIERLIB_ASSIGN_OR_RETURN(tier->pageable, MakeHostPool(options, host, recorder));
  tier->events = std::make_unique<EventPool>(device);
  tier->keepalives = std::make_unique<KeepaliveQueue>(device, *tier->events, deferred);
  TIERLIB_ASSIGN_OR_RETURN(tier->transfers, TransferEngine::Create(device, *tier->events, recorder));
  return tier;
}

void DeviceTier::Tick(Stream stream) {
  for (BlockPool* one : {pool.get(), pinned.get(), pageable.get()}) one->Tick(stream);
}

StatusOr<std::shared_ptr<HostBuffer>> DeviceTier::AllocateHost(std::uint64_t bytes, Stream stream) {
  for (BlockPool* host : {pinned.get(), pageable.get()}) {
    const StatusOr<void*> block = host->Allocate(bytes, stream, trace::Tag::kSaved);
    if (block.ok()) {
      auto buffer = std::make_shared<HostBuffer>(*host, *block, bytes);
      buffer->UsedOn(stream);
      return buffer;
    }
    if (block.status().code() != StatusCode::kResourceExhausted) return block.status();
  }
  return Status(StatusCode::kResourceExhausted);
}

}  // namespace tierlib
