// PoolHistory: what a trace says of one tier's pool, in order, as exports to other tools need it.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_POOL_HISTORY_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_POOL_HISTORY_H_

#include <cstdint>
#include <vector>

#include "trace/record_source.h"

namespace tierlib::trace_viewer {

struct PoolEvent {
  trace::Event event = trace::Event::kPoolAllocate;  // reserve, release, allocate, free or full
  trace::Tag tag = trace::Tag::kNone;
  std::int64_t time_us = 0;   // since 1970
  std::uint64_t address = 0;  // of a block; of full: free bytes
  std::uint64_t bytes = 0;
  std::uint64_t stream = 0;  // of a free after work of several, the first; 0: the trace does not tell
};

struct PoolHistory {
  std::vector<PoolEvent> events;
  std::uint64_t left_out = 0;  // records with an offset or a size beyond kPoolBytesMost: none that a program wrote
};

// Where exports put the first byte of a tier. Traces have offsets, and other tools take an address of 0 for none.
inline constexpr std::uint64_t kPoolBase = std::uint64_t{1} << 44;
// Sums of addresses up to this are exact in a browser's numbers.
inline constexpr std::uint64_t kPoolBytesMost = std::uint64_t{1} << 50;

PoolHistory CollectPoolHistory(trace::RecordSource& source, trace::TierCode tier);
PoolHistory CollectPoolHistory(const trace::Trace& trace, trace::TierCode tier);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_POOL_HISTORY_H_
