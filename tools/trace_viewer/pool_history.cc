#include "pool_history.h"

#include "trace/block_streams.h"

namespace tierlib::trace_viewer {
namespace {

// Wraps around where a damaged trace has times from outside all bounds.
std::int64_t WallMicroseconds(const trace::Trace& trace, std::int64_t time_ns) {
  const auto ns = static_cast<std::uint64_t>(trace.start_wall_ns) + static_cast<std::uint64_t>(time_ns) -
                  static_cast<std::uint64_t>(trace.start_monotonic_ns);
  return static_cast<std::int64_t>(ns) / 1000;
}

}  // namespace

PoolHistory CollectPoolHistory(const trace::Trace& trace, trace::TierCode tier) {
  trace::TraceRecords records(trace);
  return CollectPoolHistory(records, tier);
}

PoolHistory CollectPoolHistory(trace::RecordSource& source, trace::TierCode tier) {
  const trace::Trace& trace = source.about();
  PoolHistory history;
  trace::BlockStreams streams(trace);
  source.ForEach([&](const trace::Record& record) {
    PoolEvent event{record.event, record.tag, WallMicroseconds(trace, record.time_ns), 0, record.value, 0};
    std::uint64_t tier_of_record = record.detail;
    switch (record.event) {
      case trace::Event::kPoolReserve:
      case trace::Event::kPoolRelease: tier_of_record = record.subject; break;
      case trace::Event::kPoolAllocate:
      case trace::Event::kPoolFree: event.address = kPoolBase + record.subject; break;
      case trace::Event::kPoolFull: event.address = record.subject; break;
      default: return;
    }
    if (tier_of_record != static_cast<std::uint64_t>(tier)) return;
    // What was asked of a full tier may be any number.
    const bool sane = record.event == trace::Event::kPoolFull ||
                      (record.value <= kPoolBytesMost && event.address <= kPoolBase + kPoolBytesMost &&
                       record.subject <= kPoolBytesMost);
    const bool of_block = record.event == trace::Event::kPoolAllocate || record.event == trace::Event::kPoolFree;
    if (of_block || record.event == trace::Event::kPoolFull) event.stream = streams.Of(record).front();
    if (sane) {
      history.events.push_back(event);
    } else {
      ++history.left_out;
    }
  });
  return history;
}

}  // namespace tierlib::trace_viewer
