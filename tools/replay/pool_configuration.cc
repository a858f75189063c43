#include "pool_configuration.h"

#include <bit>
#include <utility>
#include <vector>

#include "trace/event.h"
#include "trace_viewer/numbers.h"

namespace tierlib::trace_replay {
namespace {

using trace_viewer::FormatCount;
using trace_viewer::FormatDuration;

Status CheckSizes(const PoolConfiguration& pool) {
  if (!std::has_single_bit(pool.alignment) || pool.alignment > GiB(1)) {
    return InvalidArgumentError("--alignment: a power of two up to 1 GiB is needed");
  }
  if (pool.growth > kCapacityMost) return InvalidArgumentError("--growth: at most 8 TiB");
  const std::uint64_t capacity = pool.capacity.value_or(kCapacityMost);
  if (capacity > kCapacityMost) return InvalidArgumentError("--capacity: at most 8 TiB");
  if (capacity < KiB(4)) return InvalidArgumentError("--capacity: at least 4 KiB are needed");
  if (pool.granularity != 0 &&
      (!std::has_single_bit(pool.granularity) || pool.granularity < 256 || pool.granularity > GiB(1))) {
    return InvalidArgumentError("--granularity: a power of two from 256 B to 1 GiB is needed, as 2MiB");
  }
  if (pool.granularity > capacity) {
    return InvalidArgumentError("--granularity: " + FormatBytes(pool.granularity) + " is more than the capacity, " +
                                FormatBytes(capacity));
  }
  return OkStatus();
}

Status CheckDeviceAlone(const PoolConfiguration& pool) {
  const std::string here = std::string("; this is --tier ") + TierName(pool.tier);
  if (pool.granularity != 0) return InvalidArgumentError("--granularity is for --tier device" + here);
  if (pool.spare_bytes != 0) return InvalidArgumentError("--spare is for --tier device" + here);
  if (pool.backing != DeviceBacking::kVirtualMemory) {
    return InvalidArgumentError("--backing is for --tier device" + here);
  }
  return OkStatus();
}

}  // namespace

const char* BackingName(DeviceBacking backing) {
  switch (backing) {
    case DeviceBacking::kVirtualMemory: return "virtual";
    case DeviceBacking::kMalloc: return "malloc";
    case DeviceBacking::kMallocAsync: return "malloc-async";
    case DeviceBacking::kManaged: return "managed";
  }
  return "?";
}

Status CheckConfiguration(const PoolConfiguration& pool) {
  TIERLIB_RETURN_IF_ERROR(CheckSizes(pool));
  if (pool.tier != Tier::kDevice) TIERLIB_RETURN_IF_ERROR(CheckDeviceAlone(pool));
  if (pool.backing == DeviceBacking::kMallocAsync) {
    return InvalidArgumentError(
        "--backing malloc-async: its blocks come from the device's own allocator, where no pool of tierlib's places "
        "them; virtual, malloc and managed can be replayed");
  }
  if (pool.backing == DeviceBacking::kMalloc) {
    if (!pool.capacity.has_value()) {
      return InvalidArgumentError("--backing malloc takes the whole capacity at the start: say it with --capacity");
    }
    if (pool.has_cache_bounds()) {
      return InvalidArgumentError("--backing malloc gives nothing back: --cached-limit and --cached-age need virtual");
    }
  }
  if (pool.cached_age_ns < 0) return InvalidArgumentError("--cached-age: not less than 0");
  if (pool.step_operations != 0 && !pool.has_cache_bounds()) {
    return InvalidArgumentError("--step-operations does nothing without --cached-limit or --cached-age");
  }
  return OkStatus();
}

Status CheckConfiguration(const PoolConfiguration& pool, const ReplayProgram& program) {
  TIERLIB_RETURN_IF_ERROR(CheckConfiguration(pool));
  if (pool.has_cache_bounds() && program.step_ends == 0 && pool.step_operations == 0) {
    return InvalidArgumentError(std::string(pool.cached_age_ns > 0 ? "--cached-age" : "--cached-limit") +
                                " is looked at when a step ends, and this trace has no steps: say with "
                                "--step-operations after how many operations one does");
  }
  if (pool.cached_age_ns > 0 && !program.has_times) {
    return InvalidArgumentError(
        "--cached-age goes by the times in the trace, and this one has none (tierlib's traces, RMM's logs and "
        "PyTorch's "
        "snapshots have): use --cached-limit");
  }
  return OkStatus();
}

std::string DescribePool(const PoolConfiguration& pool) {
  return std::string(TierName(pool.tier)) + ", capacity " +
         (pool.capacity.has_value() ? FormatBytes(*pool.capacity) : "as needed") + ", alignment " +
         FormatBytes(pool.alignment) + ", growth " + FormatBytes(pool.growth);
}

std::string DescribeOptions(const PoolConfiguration& pool) {
  std::string text;
  const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  if (pool.backing != DeviceBacking::kVirtualMemory) add(std::string("backing ") + BackingName(pool.backing));
  if (pool.granularity != 0) add("granularity " + FormatBytes(pool.granularity));
  if (pool.spare_bytes != 0) add("spare " + FormatBytes(pool.spare_bytes));
  if (pool.lag != 0) add("the device " + FormatCount(pool.lag, "operation") + " behind");
  if (pool.cached_limit != PoolConfiguration::kUnlimited) add("cached at most " + FormatBytes(pool.cached_limit));
  if (pool.cached_age_ns > 0) {
    add("cached for " + FormatDuration(static_cast<std::uint64_t>(pool.cached_age_ns)) + " to twice that");
  }
  if (pool.step_operations != 0) add("a step every " + FormatCount(pool.step_operations, "operation"));
  for (std::size_t tag = 0; tag < trace::kTagCount; ++tag) {
    if (pool.tag_limits[tag] == NoTagLimits()[tag]) continue;
    add(std::string(trace::TagName(static_cast<trace::Tag>(tag))) + " at most " + FormatBytes(pool.tag_limits[tag]));
  }
  if (pool.hardened) add("hardened with a quarantine of " + FormatBytes(pool.quarantine));
  if (pool.threads_take_turns) add("threads take turns");
  return text;
}

}  // namespace tierlib::trace_replay
