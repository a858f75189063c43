#include "pool_replay.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "allocator/block_list.h"
#include "allocator/pool_shortfall.h"
#include "base/checked_math.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "replay_pool.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;
using Step = ReplayProgram::Step;

// One run of a program on a pool.
class Run {
 public:
  Run(const ReplayProgram& program, const PoolConfiguration& configuration, ReplayPool& made)
      : program_(program),
        made_(made),
        bounded_(configuration.has_cache_bounds()),
        ticks_(configuration.lag > 0 || configuration.spare_bytes > 0),
        step_operations_(configuration.step_operations),
        blocks_(program.allocations, nullptr) {}

  // `after(step, number, block)` sees each step but the ends of steps; a block that was refused is null.
  template <typename After>
  Status Go(After after) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const Step& step = program_.steps[i];
      if (step.kind == Kind::kStepEnd) {
        EndStep(step);
        continue;
      }
      void* block = nullptr;
      if (step.kind == Kind::kAllocate) {
        TIERLIB_ASSIGN_OR_RETURN(block, Allocate(step));
      } else if (step.kind == Kind::kFree) {
        block = blocks_[step.block];
        Free(i, block);
      }
      after(step, ++number, block);
      made_.device->Advance();
      if (step_operations_ > 0 && number % step_operations_ == 0) EndStep(step);
    }
    NoteReserved();
    return OkStatus();
  }

  std::uint32_t AddressesCrc() const {
    std::uint32_t crc = 0;
    for (const void* block : blocks_) {
      const std::uint64_t offset = block == nullptr ? ~std::uint64_t{0} : made_.OffsetOf(block);
      crc = Crc32cExtend(crc, &offset, sizeof offset);
    }
    return crc;
  }
  std::uint64_t reserved_most() const { return reserved_most_; }
  std::uint64_t grown_most() const { return grown_most_; }  // how far up memory was reserved
  std::uint64_t given_back() const { return given_back_; }

  // Frees what the program leaves, as the pool's destructor requires.
  void FreeRest() {
    for (const Step& step : program_.steps) {
      if (step.kind == Kind::kFree) blocks_[step.block] = nullptr;
    }
    for (void* block : blocks_) {
      if (block != nullptr) made_.pool->Free(block, {made_.streams.front()});
    }
  }

 private:
  StatusOr<void*> Allocate(const Step& step) {
    const StatusOr<void*> allocated = made_.pool->Allocate(step.bytes, made_.streams[step.stream], step.tag);
    if (allocated.ok()) return blocks_[step.block] = *allocated;
    if (allocated.status().code() != StatusCode::kResourceExhausted) return allocated.status();
    return static_cast<void*>(nullptr);
  }

  void Free(std::size_t index, void* block) {
    const std::vector<ReplayProgram::FurtherStream>& further = program_.further;
    absl::InlinedVector<Stream, 4> streams = {made_.streams[program_.steps[index].stream]};
    for (; next_further_ < further.size() && further[next_further_].step <= index; ++next_further_) {
      streams.push_back(made_.streams[further[next_further_].stream]);
    }
    if (block == nullptr) return;
    made_.pool->Free(block, streams);
    if (!ticks_) return;
    for (const Stream stream : streams) made_.pool->Tick(stream);
  }

  // Between two calls of this what is reserved only grows.
  void NoteReserved() {
    reserved_most_ = std::max<std::uint64_t>(reserved_most_, made_.reserved());
    grown_most_ = std::max<std::uint64_t>(grown_most_, made_.source->grown());
  }

  // A step of training ends here: what is cached beyond the bounds goes back.
  void EndStep(const Step& step) {
    if (!bounded_) return;
    NoteReserved();
    given_back_ += made_.pool->TrimToBounds(step.time_ns);
  }

  const ReplayProgram& program_;
  ReplayPool& made_;
  const bool bounded_;
  const bool
      ticks_;  // something asks which work has ended, so each free is marked, as a Runtime does it every so often
  const std::uint64_t step_operations_;
  std::vector<void*> blocks_;
  std::size_t next_further_ = 0;
  std::uint64_t reserved_most_ = 0;
  std::uint64_t grown_most_ = 0;
  std::uint64_t given_back_ = 0;
};

// Whether it is the limit of the step's tag that refuses it.
bool IsTagFull(BlockPool& pool, const Step& step, const PoolConfiguration& configuration) {
  if (!configuration.has_tag_limits() || step.bytes > kCapacityMost) return false;
  const std::uint64_t guards = configuration.hardened ? 2 * std::uint64_t{configuration.alignment} : 0;
  return IsBeyondTagLimit(pool, static_cast<std::size_t>(step.bytes + guards), step.tag);
}

// The run that counts nothing but time, addresses and what is reserved. `extent`: how far up memory was reserved.
Status RunTimed(const ReplayProgram& program, const PoolConfiguration& configuration, ReplayPool& made,
                std::uint64_t* extent, ReplayResult* result) {
  Run run(program, configuration, made);
  std::uint64_t fit = 0;
  const std::int64_t begin_ns = NowNs();
  TIERLIB_RETURN_IF_ERROR(run.Go([&](const Step& step, std::uint64_t, const void*) {
    if (step.kind != Kind::kFailure || step.bytes > made.pool->LargestHole()) return;
    if (!IsTagFull(*made.pool, step, configuration)) ++fit;
  }));
  const std::int64_t end_ns = NowNs();
  result->operations = program.allocations + program.frees;
  result->recorded_failures_fit = fit;
  result->addresses = run.AddressesCrc();
  if (configuration.lag > 0) result->waits = made.waits->waits();
  *extent = run.grown_most();
  result->reserved_most = run.reserved_most();
  result->reserved_at_end = made.reserved();
  result->given_back = run.given_back();
  if (result->operations > 0) {
    result->ns_per_operation = static_cast<double>(end_ns - begin_ns) / static_cast<double>(result->operations);
  }
  run.FreeRest();
  return OkStatus();
}

// What is free of the first `extent` bytes of the tier, as one.
std::uint64_t LargestHoleWithin(BlockPool& pool, std::uint64_t extent) {
  std::uint64_t largest = 0;
  pool.Inspect([&](const BlockPool::Contents& contents) {
    const std::uint64_t used = contents.blocks.extent();
    largest = std::max<std::uint64_t>(contents.blocks.largest_hole(), extent > used ? extent - used : 0);
  });
  return largest;
}

// The run that looks at the pool after each step. `extent`: what the pool grows to, in whole units.
Status RunObserved(const ReplayProgram& program, const PoolConfiguration& configuration, std::uint64_t extent,
                   ReplayPool& made, ReplayResult* result) {
  Run run(program, configuration, made);
  std::vector<std::uint64_t> asked(program.allocations, 0);
  ReplayResult& r = *result;
  TIERLIB_RETURN_IF_ERROR(run.Go([&](const Step& step, std::uint64_t number, const void* block) {
    if (step.kind == Kind::kFailure) return;
    if (step.kind == Kind::kFree) {
      r.live_at_end -= asked[step.block];
    } else if (block == nullptr) {
      if (r.failures++ == 0) r.first_failure = number;
      if (IsTagFull(*made.pool, step, configuration)) ++r.tag_limit_failures;
      if (!CheckedAdd(r.failed_bytes, step.bytes, &r.failed_bytes)) r.failed_bytes = ~std::uint64_t{0};
    } else {
      r.live_at_end += asked[step.block] = step.bytes;
    }
    const TierStatistics statistics = made.pool->statistics();
    if (r.live_at_end > r.peak.live) {
      r.peak = {number, r.live_at_end, statistics.live + statistics.waste - r.live_at_end, statistics.reserved};
    }
    const std::uint64_t free = extent - statistics.live - statistics.waste;
    const std::uint64_t hole = LargestHoleWithin(*made.pool, extent);
    if (free - hole > r.worst.free - r.worst.largest_hole) r.worst = {number, free, hole};
  }));
  r.repeated_equally = run.AddressesCrc() == r.addresses &&
                       (configuration.lag == 0 || made.waits->waits() == r.waits) &&
                       run.reserved_most() == r.reserved_most && run.given_back() == r.given_back;
  run.FreeRest();
  return OkStatus();
}

}  // namespace

StatusOr<ReplayResult> Replay(const ReplayProgram& program, const PoolConfiguration& configuration) {
  TIERLIB_RETURN_IF_ERROR(CheckConfiguration(configuration, program));
  const std::uint64_t capacity = configuration.capacity.value_or(AmpleCapacity(program, configuration));
  ReplayResult result;
  std::uint64_t extent = 0;
  {
    TIERLIB_ASSIGN_OR_RETURN(ReplayPool made, ReplayPool::Make(configuration, capacity, program.streams));
    TIERLIB_RETURN_IF_ERROR(RunTimed(program, configuration, made, &extent, &result));
    if (extent == 0) extent = made.source->capacity();  // nothing was reserved: all that could be
  }
  extent = extent / configuration.alignment * configuration.alignment;
  TIERLIB_ASSIGN_OR_RETURN(ReplayPool made, ReplayPool::Make(configuration, capacity, program.streams));
  TIERLIB_RETURN_IF_ERROR(RunObserved(program, configuration, extent, made, &result));
  return result;
}

}  // namespace tierlib::trace_replay
