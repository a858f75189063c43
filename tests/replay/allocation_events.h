// Short ways to write down a trace of allocations, and to replay it.
#ifndef TIERLIB_TESTS_REPLAY_ALLOCATION_EVENTS_H_
#define TIERLIB_TESTS_REPLAY_ALLOCATION_EVENTS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "allocation_trace.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "pool_replay.h"
#include "replay_program.h"

namespace tierlib::trace_replay {

inline AllocationEvent Allocate(std::uint64_t pointer, std::uint64_t bytes, std::uint64_t stream = 0,
                                trace::Tag tag = trace::Tag::kNone) {
  return {AllocationEvent::Kind::kAllocate, pointer, bytes, stream, tag};
}
inline AllocationEvent Free(std::uint64_t pointer, std::uint64_t stream = 0) {
  return {AllocationEvent::Kind::kFree, pointer, 0, stream};
}
inline AllocationEvent Failure(std::uint64_t bytes, trace::Tag tag = trace::Tag::kNone) {
  return {AllocationEvent::Kind::kFailure, 0, bytes, 0, tag};
}
inline AllocationEvent StepEnd() { return {AllocationEvent::Kind::kStepEnd, 0, 0, 0}; }

// `times_ns`: of each event, or none.
inline ReplayProgram Program(std::vector<AllocationEvent> events, std::vector<std::int64_t> times_ns = {}) {
  AllocationTrace trace;
  trace.events = std::move(events);
  trace.times_ns = std::move(times_ns);
  return MakeProgram(trace);
}

inline ReplayResult Replayed(const ReplayProgram& program, const PoolConfiguration& pool = {}) {
  const StatusOr<ReplayResult> result = Replay(program, pool);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : ReplayResult{};
}

// ReplayResult::addresses of blocks that lie there.
inline std::uint32_t CrcOf(const std::vector<std::uint64_t>& offsets) {
  return Crc32c(offsets.data(), offsets.size() * sizeof(std::uint64_t));
}

// A random life of up to 200 blocks, with sizes of 0 to 1 MiB, asked for on three streams under two tags and freed on
// any of the streams. A step ends at every 500th event.
inline std::vector<AllocationEvent> RandomEvents(std::uint64_t seed, int count) {
  Random random(seed);
  std::vector<AllocationEvent> events;
  std::vector<std::uint64_t> live;
  std::uint64_t next = 1;
  for (int i = 0; i < count; ++i) {
    if (i % 500 == 499) events.push_back(StepEnd());
    if (!live.empty() && (live.size() >= 200 || random.UniformInt(2) == 0)) {
      std::swap(live[random.UniformInt(live.size())], live.back());
      events.push_back(Free(live.back(), random.UniformInt(3)));
      live.pop_back();
    } else {
      live.push_back(next);
      const std::uint64_t bytes = random.UniformInt(std::uint64_t{1} << random.UniformInt(21));
      const trace::Tag tag = random.UniformInt(2) == 0 ? trace::Tag::kActivation : trace::Tag::kSaved;
      events.push_back(Allocate(next++, bytes, random.UniformInt(3), tag));
    }
  }
  return events;
}

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TESTS_REPLAY_ALLOCATION_EVENTS_H_
