// AllocationTrace: what a program asked of an allocator, in order, whichever tool recorded it. What all readers
// produce.
#ifndef TIERLIB_TOOLS_REPLAY_ALLOCATION_TRACE_H_
#define TIERLIB_TOOLS_REPLAY_ALLOCATION_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "trace/event.h"

namespace tierlib::trace_replay {

struct AllocationEvent {
  enum class Kind : std::uint8_t { kAllocate, kFree, kFailure, kStepEnd };
  Kind kind = Kind::kAllocate;
  std::uint64_t pointer = 0;  // names a block from its allocation to its free; 0 for failures and ends of steps
  std::uint64_t bytes = 0;    // as asked; of a free, as recorded
  std::uint64_t stream = 0;   // any number that tells streams apart
  trace::Tag tag = trace::Tag::kNone;  // of allocations and failures

  friend bool operator==(const AllocationEvent&, const AllocationEvent&) = default;
};

struct AllocationTrace {
  // A free that comes after work of more streams than its own.
  struct FurtherStream {
    std::size_t event = 0;
    std::uint64_t stream = 0;
    friend bool operator==(const FurtherStream&, const FurtherStream&) = default;
  };

  std::vector<AllocationEvent> events;
  std::vector<FurtherStream> further;  // by event
  std::vector<std::int64_t> times_ns;  // when each event was, on any clock; empty where the file does not tell
  std::uint64_t null_pointers = 0;     // events of a null pointer, which are left out: nothing was handed out

  // Parts of the file that could not be used: one line each, which names the place. At most kProblemsMost are kept.
  static constexpr std::size_t kProblemsMost = 10;
  std::vector<std::string> problems;
  std::uint64_t problem_count = 0;

  void AddProblem(std::string what) {
    ++problem_count;
    if (problems.size() < kProblemsMost) problems.push_back(std::move(what));
  }
};

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_ALLOCATION_TRACE_H_
