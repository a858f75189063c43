#include "replay_program.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;

class ProgramMaker {
 public:
  explicit ProgramMaker(const AllocationTrace& trace) : trace_(trace) {
    program_.steps.reserve(trace.events.size());
    program_.has_times = !trace.times_ns.empty();
  }

  ReplayProgram Make() {
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      NoteTime(i);
      Add(trace_.events[i], i);
    }
    program_.streams = static_cast<std::uint32_t>(std::min<std::size_t>(streams_.size(), kStreamsMost));
    return std::move(program_);
  }

 private:
  // What goes back in time, or is beyond 292 years, was then.
  void NoteTime(std::size_t event) {
    if (event >= trace_.times_ns.size()) return;
    const auto since = static_cast<std::int64_t>(static_cast<std::uint64_t>(trace_.times_ns[event]) -
                                                 static_cast<std::uint64_t>(trace_.times_ns.front()));
    now_ns_ = std::max(now_ns_, since);
  }

  void Push(ReplayProgram::Step step) {
    step.time_ns = now_ns_;
    program_.steps.push_back(step);
  }

  std::uint32_t StreamOf(std::uint64_t stream) {
    const auto number = static_cast<std::uint32_t>(streams_.size() % kStreamsMost);
    return streams_.try_emplace(stream, number).first->second;
  }

  void Add(const AllocationEvent& event, std::size_t index) {
    switch (event.kind) {
      case Kind::kFailure:
        ++program_.recorded_failures;
        return Push({.kind = Kind::kFailure, .tag = event.tag, .bytes = event.bytes});
      case Kind::kStepEnd: ++program_.step_ends; return Push({.kind = Kind::kStepEnd});
      case Kind::kFree: return Free(event, index);
      case Kind::kAllocate: break;
    }
    const std::uint32_t stream = StreamOf(event.stream);
    if (const auto found = live_.find(event.pointer); found != live_.end()) {
      ++program_.missing_frees;
      PushFree(found->second, stream);
      live_.erase(found);
    }
    const std::uint64_t block = program_.allocations++;
    live_.emplace(event.pointer, block);
    Push({.kind = Kind::kAllocate, .tag = event.tag, .stream = stream, .block = block, .bytes = event.bytes});
  }

  void Free(const AllocationEvent& event, std::size_t index) {
    const std::uint32_t stream = StreamOf(event.stream);
    const auto found = live_.find(event.pointer);
    if (found == live_.end()) {
      ++program_.unknown_frees;
      return;
    }
    while (next_further_ < trace_.further.size() && trace_.further[next_further_].event < index) ++next_further_;
    for (; next_further_ < trace_.further.size() && trace_.further[next_further_].event == index; ++next_further_) {
      program_.further.push_back({program_.steps.size(), StreamOf(trace_.further[next_further_].stream)});
    }
    PushFree(found->second, stream);
    live_.erase(found);
  }

  void PushFree(std::uint64_t block, std::uint32_t stream) {
    ++program_.frees;
    Push({.kind = Kind::kFree, .stream = stream, .block = block});
  }

  const AllocationTrace& trace_;
  ReplayProgram program_;
  absl::flat_hash_map<std::uint64_t, std::uint64_t> live_;  // pointer -> block
  absl::flat_hash_map<std::uint64_t, std::uint32_t> streams_;
  std::size_t next_further_ = 0;
  std::int64_t now_ns_ = 0;
};

}  // namespace

ReplayProgram MakeProgram(const AllocationTrace& trace) { return ProgramMaker(trace).Make(); }

}  // namespace tierlib::trace_replay
