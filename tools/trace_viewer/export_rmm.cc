#include <cinttypes>
#include <cstdio>

#include "export_command.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

// "10:15:00.123456", UTC, as RMM stamps its lines.
std::string TimeOfDay(std::int64_t time_us) {
  const std::int64_t of_day = (time_us % kDayUs + kDayUs) % kDayUs;
  char text[32];
  std::snprintf(text, sizeof text, "%02d:%02d:%02d.%06d", static_cast<int>(of_day / 3'600'000'000),
                static_cast<int>(of_day / 60'000'000 % 60), static_cast<int>(of_day / 1'000'000 % 60),
                static_cast<int>(of_day % 1'000'000));
  return text;
}

}  // namespace

std::string RmmCsv(const PoolHistory& history) {
  std::string csv = "Thread,Time,Action,Pointer,Size,Stream\n";
  for (const PoolEvent& event : history.events) {
    char fields[80];
    switch (event.event) {
      case trace::Event::kPoolAllocate:
        std::snprintf(fields, sizeof fields, "allocate,0x%" PRIx64 ",%" PRIu64, event.address, event.bytes);
        break;
      case trace::Event::kPoolFree:
        std::snprintf(fields, sizeof fields, "free,0x%" PRIx64 ",%" PRIu64, event.address, event.bytes);
        break;
      case trace::Event::kPoolFull:
        std::snprintf(fields, sizeof fields, "allocate failure,(nil),%" PRIu64, event.bytes);
        break;
      default: continue;
    }
    char stream[24];
    std::snprintf(stream, sizeof stream, ",0x%" PRIx64 "\n", event.stream);
    csv += "1," + TimeOfDay(event.time_us) + ',' + fields + stream;
  }
  return csv;
}

}  // namespace tierlib::trace_viewer
