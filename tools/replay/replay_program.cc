#include "replay_program.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace tierlib::trace_replay {

ReplayProgram MakeProgram(const AllocationTrace& trace) {
  using Kind = AllocationEvent::Kind;
  ReplayProgram program;
  program.steps.reserve(trace.events.size());
  absl::flat_hash_map<std::uint64_t, std::uint64_t> live;  // pointer -> block
  absl::flat_hash_map<std::uint64_t, std::uint32_t> streams;
  for (const AllocationEvent& event : trace.events) {
    if (event.kind == Kind::kFailure) {
      ++program.recorded_failures;
      program.steps.push_back({.kind = Kind::kFailure, .bytes = event.bytes});
      continue;
    }
    const auto number = static_cast<std::uint32_t>(streams.size() % kStreamsMost);
    const std::uint32_t stream = streams.try_emplace(event.stream, number).first->second;
    if (const auto found = live.find(event.pointer); found != live.end()) {
      if (event.kind == Kind::kAllocate) ++program.missing_frees;
      ++program.frees;
      program.steps.push_back({.kind = Kind::kFree, .stream = stream, .block = found->second});
      live.erase(found);
    } else if (event.kind == Kind::kFree) {
      ++program.unknown_frees;
    }
    if (event.kind == Kind::kFree) continue;
    const std::uint64_t block = program.allocations++;
    live.emplace(event.pointer, block);
    program.steps.push_back({.kind = Kind::kAllocate, .stream = stream, .block = block, .bytes = event.bytes});
  }
  program.streams = static_cast<std::uint32_t>(std::min<std::size_t>(streams.size(), kStreamsMost));
  return program;
}

}  // namespace tierlib::trace_replay
