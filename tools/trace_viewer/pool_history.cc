#include "pool_history.h"

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
  PoolHistory history;
  for (const trace::Record& record : trace.records) {
    PoolEvent event{record.event, record.tag, WallMicroseconds(trace, record.time_ns), 0, record.value};
    std::uint64_t tier_of_record = record.detail;
    switch (record.event) {
      case trace::Event::kPoolReserve:
      case trace::Event::kPoolRelease: tier_of_record = record.subject; break;
      case trace::Event::kPoolAllocate:
      case trace::Event::kPoolFree: event.address = kPoolBase + record.subject; break;
      case trace::Event::kPoolFull: event.address = record.subject; break;
      default: continue;
    }
    if (tier_of_record != static_cast<std::uint64_t>(tier)) continue;
    // What was asked of a full tier may be any number.
    const bool sane = record.event == trace::Event::kPoolFull ||
                      (record.value <= kPoolBytesMost && event.address <= kPoolBase + kPoolBytesMost &&
                       record.subject <= kPoolBytesMost);
    if (sane) {
      history.events.push_back(event);
    } else {
      ++history.left_out;
    }
  }
  return history;
}

}  // namespace tierlib::trace_viewer
