#include "replay_pool.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "allocator/device_factory.h"
#include "base/checked_math.h"

namespace tierlib::trace_replay {
namespace {

StatusOr<std::unique_ptr<MemorySource>> MakeSource(const PoolConfiguration& configuration, std::uint64_t capacity,
                                                   DeviceBackend& device) {
  if (configuration.tier != Tier::kDevice) {
    return MakeHostSource({.tier = configuration.tier, .capacity = capacity, .shape_only = true});
  }
  return configuration.backing == DeviceBacking::kMalloc ? MakeWholeDeviceSource(device) : MakeDeviceSource(device);
}

}  // namespace

StatusOr<ReplayPool> ReplayPool::Make(const PoolConfiguration& configuration, std::uint64_t capacity,
                                      std::uint32_t streams) {
  ReplayPool made;
  DeviceOptions options;
  options.capacity = configuration.tier == Tier::kDevice ? capacity : KiB(4);
  options.emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.emulated.kernel_threads = 1;
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBackend> device, MakeDevice(options));
  made.device = std::make_unique<LaggingDevice>(std::move(device), configuration.lag, configuration.granularity);
  made.waits = std::make_unique<WaitCounter>();
  for (std::uint32_t i = 0; i < streams; ++i) {
    TIERLIB_ASSIGN_OR_RETURN(const Stream stream, made.device->CreateStream("stream " + std::to_string(i)));
    made.streams.push_back(stream);
  }
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<MemorySource> source, MakeSource(configuration, capacity, *made.device));
  made.source = source.get();
  BlockPool::Options pool;
  if (configuration.hardened) {
    TIERLIB_ASSIGN_OR_RETURN(pool.hardening, made.device->CreateStream("hardening"));
    pool.quarantine_bytes = std::min<std::size_t>(configuration.quarantine, source->capacity() / 8);
  }
  pool.source = std::move(source);
  pool.device = made.device.get();
  pool.alignment = configuration.alignment;
  pool.growth = configuration.growth;
  pool.spare_bytes = static_cast<std::size_t>(configuration.spare_bytes);
  pool.threads_take_turns = configuration.threads_take_turns;
  pool.cache = {configuration.cached_limit, configuration.cached_age_ns};
  pool.tag_limits = configuration.tag_limits;
  pool.watch = made.waits.get();
  made.pool = std::make_unique<BlockPool>(std::move(pool));
  return made;
}

std::uint64_t AmpleCapacity(const ReplayProgram& program, const PoolConfiguration& configuration) {
  const std::uint64_t guards = configuration.hardened ? 2 * std::uint64_t{configuration.alignment} : 0;
  const std::uint64_t unit = std::max<std::uint64_t>(MiB(2), configuration.granularity);
  std::uint64_t bytes = 0;
  for (const ReplayProgram::Step& step : program.steps) {
    if (step.kind != AllocationEvent::Kind::kAllocate) continue;
    std::uint64_t rounded = 0;
    if (!CheckedRoundUp(std::max<std::uint64_t>(step.bytes, 1), configuration.alignment, &rounded) ||
        !CheckedAdd(rounded, guards, &rounded) || !CheckedAdd(bytes, rounded, &bytes) || bytes > kCapacityMost) {
      return kCapacityMost;
    }
  }
  std::uint64_t grown = 0;
  if (!CheckedRoundUp(bytes, std::max<std::uint64_t>(configuration.growth, unit), &grown)) return kCapacityMost;
  return std::min(std::max(grown, unit) / unit * unit + unit, kCapacityMost);
}

}  // namespace tierlib::trace_replay
