// ReplayPool: a block pool of a given configuration with no memory behind it, and the device and streams that it needs.
#ifndef TIERLIB_TOOLS_REPLAY_REPLAY_POOL_H_
#define TIERLIB_TOOLS_REPLAY_REPLAY_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/memory_source.h"
#include "allocator/stream_clocks.h"
#include "lagging_device.h"
#include "pool_configuration.h"
#include "replay_program.h"
#include "tierlib/status.h"

namespace tierlib::trace_replay {

// Counts the waits that a pool inserts.
class WaitCounter : public WaitWatch {
 public:
  void WaitBegins(Stream) override { ++waits_; }
  void WaitEnds(Stream, Stream) override {}
  std::uint64_t waits() const { return waits_; }

 private:
  std::uint64_t waits_ = 0;
};

struct ReplayPool {
  // With `streams` streams. InvalidArgument or ResourceExhausted where there can be no such pool.
  static StatusOr<ReplayPool> Make(const PoolConfiguration& configuration, std::uint64_t capacity,
                                   std::uint32_t streams);

  std::size_t OffsetOf(const void* block) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - source->base());
  }
  std::size_t reserved() const { return source->grown() - source->absent(); }

  std::unique_ptr<LaggingDevice> device;
  std::unique_ptr<WaitCounter> waits;
  std::vector<Stream> streams;
  MemorySource* source = nullptr;
  std::unique_ptr<BlockPool> pool;  // last, so that it goes first
};

// A capacity in which the program fits, whatever the pool does: each allocation behind those before it, and room for
// the last step of growth.
std::uint64_t AmpleCapacity(const ReplayProgram& program, const PoolConfiguration& configuration);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_REPLAY_POOL_H_
