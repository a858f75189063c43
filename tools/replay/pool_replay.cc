#include "pool_replay.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"
#include "base/checked_math.h"
#include "base/clock.h"
#include "base/crc32c.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;
using Step = ReplayProgram::Step;

struct PoolWithoutMemory {
  std::unique_ptr<DeviceBackend> device;
  std::vector<Stream> streams;
  MemorySource* source = nullptr;
  std::unique_ptr<BlockPool> pool;  // last, so that it goes first
};

StatusOr<PoolWithoutMemory> MakePool(const PoolConfiguration& configuration, std::uint64_t capacity,
                                     std::uint32_t streams) {
  PoolWithoutMemory made;
  DeviceOptions options;
  options.capacity = configuration.tier == Tier::kDevice ? capacity : KiB(4);
  options.emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.emulated.kernel_threads = 1;
  TIERLIB_ASSIGN_OR_RETURN(made.device, MakeDevice(options));
  for (std::uint32_t i = 0; i < streams; ++i) {
    TIERLIB_ASSIGN_OR_RETURN(const Stream stream, made.device->CreateStream("stream " + std::to_string(i)));
    made.streams.push_back(stream);
  }
  std::unique_ptr<MemorySource> source;
  if (configuration.tier == Tier::kDevice) {
    TIERLIB_ASSIGN_OR_RETURN(source, MakeDeviceSource(*made.device));
  } else {
    TIERLIB_ASSIGN_OR_RETURN(source,
                             MakeHostSource({.tier = configuration.tier, .capacity = capacity, .shape_only = true}));
  }
  made.source = source.get();
  made.pool = std::make_unique<BlockPool>(BlockPool::Options{.source = std::move(source),
                                                             .device = made.device.get(),
                                                             .alignment = configuration.alignment,
                                                             .growth = configuration.growth});
  return made;
}

// Runs a program once. `after(step, number, block)` sees each step; a block that was refused is null.
template <typename After>
Status Run(const ReplayProgram& program, PoolWithoutMemory& made, std::vector<void*>* blocks, After after) {
  blocks->assign(program.allocations, nullptr);
  std::uint64_t number = 0;
  for (const Step& step : program.steps) {
    if (step.kind == Kind::kFailure) {
      after(step, ++number, nullptr);
      continue;
    }
    void*& block = (*blocks)[step.block];
    if (step.kind == Kind::kAllocate) {
      const StatusOr<void*> allocated = made.pool->Allocate(step.bytes, made.streams[step.stream]);
      if (allocated.ok()) {
        block = *allocated;
      } else if (allocated.status().code() != StatusCode::kResourceExhausted) {
        return allocated.status();
      }
    } else if (step.kind == Kind::kFree && block != nullptr) {
      made.pool->Free(block, {made.streams[step.stream]});
    }
    after(step, ++number, block);
  }
  return OkStatus();
}

std::uint32_t AddressesCrc(const PoolWithoutMemory& made, const std::vector<void*>& blocks) {
  std::uint32_t crc = 0;
  for (const void* block : blocks) {
    const std::uint64_t offset =
        block == nullptr ? ~std::uint64_t{0}
                         : static_cast<std::uint64_t>(static_cast<const std::byte*>(block) - made.source->base());
    crc = Crc32cExtend(crc, &offset, sizeof offset);
  }
  return crc;
}

// A capacity in which the program fits, whatever the pool does: each allocation behind those before it, and room for
// the last step of growth.
std::uint64_t AmpleCapacity(const ReplayProgram& program, const PoolConfiguration& configuration) {
  std::uint64_t bytes = 0;
  for (const Step& step : program.steps) {
    if (step.kind != Kind::kAllocate) continue;
    std::uint64_t rounded = 0;
    if (!CheckedRoundUp(std::max<std::uint64_t>(step.bytes, 1), configuration.alignment, &rounded) ||
        !CheckedAdd(bytes, rounded, &bytes) || bytes > kCapacityMost) {
      return kCapacityMost;
    }
  }
  std::uint64_t grown = 0;
  if (!CheckedRoundUp(bytes, std::max(configuration.growth, MiB(2)), &grown)) return kCapacityMost;
  return std::clamp(grown, MiB(2), kCapacityMost) / MiB(2) * MiB(2) + MiB(2);
}

// Frees what the program leaves, as the pool's destructor requires.
void FreeRest(const ReplayProgram& program, PoolWithoutMemory& made, std::vector<void*> blocks) {
  for (const Step& step : program.steps) {
    if (step.kind == Kind::kFree) blocks[step.block] = nullptr;
  }
  for (void* block : blocks) {
    if (block != nullptr) made.pool->Free(block, {made.streams.front()});
  }
}

// The run that counts nothing but time, addresses and what is reserved.
Status RunTimed(const ReplayProgram& program, PoolWithoutMemory& made, ReplayResult* result) {
  std::vector<void*> blocks;
  std::uint64_t fit = 0;
  const std::int64_t begin_ns = NowNs();
  TIERLIB_RETURN_IF_ERROR(Run(program, made, &blocks, [&](const Step& step, std::uint64_t, const void*) {
    if (step.kind == Kind::kFailure && step.bytes <= made.pool->LargestHole()) ++fit;
  }));
  const std::int64_t end_ns = NowNs();
  result->operations = program.allocations + program.frees;
  result->recorded_failures_fit = fit;
  result->addresses = AddressesCrc(made, blocks);
  result->reserved_at_end = made.source->grown();
  if (result->operations > 0) {
    result->ns_per_operation = static_cast<double>(end_ns - begin_ns) / static_cast<double>(result->operations);
  }
  FreeRest(program, made, std::move(blocks));
  return OkStatus();
}

// The run that looks at the pool after each step.
Status RunObserved(const ReplayProgram& program, PoolWithoutMemory& made, ReplayResult* result) {
  std::vector<void*> blocks;
  std::vector<std::uint64_t> asked(program.allocations, 0);
  ReplayResult& r = *result;
  TIERLIB_RETURN_IF_ERROR(Run(program, made, &blocks, [&](const Step& step, std::uint64_t number, const void* block) {
    if (step.kind == Kind::kFailure) return;
    if (step.kind == Kind::kFree) {
      r.live_at_end -= asked[step.block];
    } else if (block == nullptr) {
      if (r.failures++ == 0) r.first_failure = number;
      if (!CheckedAdd(r.failed_bytes, step.bytes, &r.failed_bytes)) r.failed_bytes = ~std::uint64_t{0};
    } else {
      r.live_at_end += asked[step.block] = step.bytes;
    }
    const TierStatistics statistics = made.pool->statistics();
    if (r.live_at_end > r.peak.live) r.peak = {number, r.live_at_end, statistics.waste, statistics.reserved};
    const std::uint64_t free = statistics.capacity - statistics.live - statistics.waste;
    const std::uint64_t hole = made.pool->LargestHole();
    if (free - hole > r.worst.free - r.worst.largest_hole) r.worst = {number, free, hole};
  }));
  r.repeated_equally = AddressesCrc(made, blocks) == r.addresses;
  FreeRest(program, made, std::move(blocks));
  return OkStatus();
}

}  // namespace

StatusOr<ReplayResult> Replay(const ReplayProgram& program, const PoolConfiguration& configuration) {
  const std::uint64_t capacity = configuration.capacity.value_or(AmpleCapacity(program, configuration));
  ReplayResult result;
  {
    TIERLIB_ASSIGN_OR_RETURN(PoolWithoutMemory made, MakePool(configuration, capacity, program.streams));
    TIERLIB_RETURN_IF_ERROR(RunTimed(program, made, &result));
  }
  // In a tier of just the reserved bytes the pool does the same: it takes the unused end last, and grows no further.
  const std::uint64_t reserved = result.reserved_at_end > 0 ? result.reserved_at_end : capacity;
  TIERLIB_ASSIGN_OR_RETURN(PoolWithoutMemory made, MakePool(configuration, reserved, program.streams));
  TIERLIB_RETURN_IF_ERROR(RunObserved(program, made, &result));
  return result;
}

}  // namespace tierlib::trace_replay
