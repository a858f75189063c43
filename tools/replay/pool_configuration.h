// PoolConfiguration: the pool that a program is replayed against, as DeviceOptions, Options and BlockPool::Options have
// it, as far as it decides where blocks lie and what they are booked as.
#ifndef TIERLIB_TOOLS_REPLAY_POOL_CONFIGURATION_H_
#define TIERLIB_TOOLS_REPLAY_POOL_CONFIGURATION_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "allocator/tag_accounts.h"
#include "replay_program.h"
#include "tierlib/bytes.h"
#include "tierlib/options.h"
#include "tierlib/status.h"
#include "tierlib/tier.h"

namespace tierlib::trace_replay {

struct PoolConfiguration {
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

  Tier tier = Tier::kDevice;
  std::optional<std::uint64_t> capacity;  // bytes; none: as much as the trace needs, up to kCapacityMost
  std::size_t alignment = 256;            // bytes, a power of two
  std::size_t growth = MiB(2);            // bytes
  // Of the device tier: how its memory is taken, emulated. kMalloc takes all of the capacity at once; kManaged lies as
  // kVirtualMemory does. No pool hands out kMallocAsync's blocks.
  DeviceBacking backing = DeviceBacking::kVirtualMemory;
  std::size_t granularity =
      0;  // bytes, of the device tier: what it takes is a multiple of that; 0: the alignment's 256
  std::uint64_t spare_bytes = 0;  // DeviceOptions::spare_bytes
  // How many operations the device is behind the host: what was enqueued before one has ended so many later. Without it
  // all work ends at once, no stream has to wait for another, and no memory is ever spare.
  std::uint64_t lag = 0;
  std::uint64_t cached_limit = kUnlimited;  // bytes; compared at the ends of steps
  std::int64_t cached_age_ns = 0;           // of the trace's clock; 0: never
  std::uint64_t step_operations = 0;        // a step ends after every so many, beside those of the trace; 0: none does
  TagLimits tag_limits = NoTagLimits();     // bytes, rounded
  bool hardened = false;
  std::size_t quarantine = MiB(64);  // bytes; at most an eighth of the capacity counts
  bool threads_take_turns = false;   // how the pool's lock is taken: changes the time alone

  bool has_cache_bounds() const { return cached_limit != kUnlimited || cached_age_ns > 0; }
  bool has_tag_limits() const { return tag_limits != NoTagLimits(); }
};
inline constexpr std::uint64_t kCapacityMost = std::uint64_t{8} << 40;

// "virtual", "malloc", "managed", "malloc-async"
const char* BackingName(DeviceBacking backing);

// InvalidArgument that names the flag of the command line and what would be right, where no pool is like this.
Status CheckConfiguration(const PoolConfiguration& configuration);
// The same where this program cannot be replayed against it.
Status CheckConfiguration(const PoolConfiguration& configuration, const ReplayProgram& program);

// "device, capacity 80 GiB, alignment 256 B, growth 2 MiB"
std::string DescribePool(const PoolConfiguration& configuration);
// What else is not as it is by default: "spare 64 MiB, hardened with a quarantine of 64 MiB"; "" for nothing.
std::string DescribeOptions(const PoolConfiguration& configuration);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_POOL_CONFIGURATION_H_
