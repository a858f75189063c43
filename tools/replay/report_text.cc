#include <cstdio>

#include "replay_command.h"
#include "trace_viewer/numbers.h"

namespace tierlib::trace_replay {
namespace {

using trace_viewer::FormatCount;

std::string Line(const char* name, const std::string& value) {
  char text[24];
  std::snprintf(text, sizeof text, "%-16s", name);
  return text + value + '\n';
}

std::string Number(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Failures(const ReplayResult& result) {
  if (result.failures == 0) return "none";
  std::string text = FormatCount(result.failures, "allocation") + ", " + FormatBytes(result.failed_bytes) +
                     " together; the first at operation " + FormatCount(result.first_failure);
  if (result.tag_limit_failures > 0) text += "; " + FormatCount(result.tag_limit_failures) + " by the limit of a tag";
  return text;
}

// What the trace says that could not be replayed as it stands.
std::string Remarks(const ReplayReport& report) {
  std::string text;
  const ReplayProgram& program = *report.program;
  if (program.recorded_failures > 0) {
    text += Line("recorded full", FormatCount(program.recorded_failures, "allocation") + " failed when recorded; " +
                                      FormatCount(report.result.recorded_failures_fit) + " would fit here");
  }
  if (program.unknown_frees > 0) {
    text += Line("left out", FormatCount(program.unknown_frees, "free") +
                                 " of pointers that the trace does not allocate: it began later");
  }
  if (report.trace->null_pointers > 0) {
    text += Line("left out", FormatCount(report.trace->null_pointers, "event") + " of a null pointer");
  }
  if (program.missing_frees > 0) {
    text += Line("added", FormatCount(program.missing_frees, "free") +
                              " of blocks whose pointer was handed out again without one");
  }
  return text;
}

}  // namespace

std::string ReportText(const ReplayReport& report) {
  const ReplayResult& result = report.result;
  const ReplayProgram& program = *report.program;
  char crc[16];
  std::snprintf(crc, sizeof crc, "%08x", result.addresses);
  std::string text = report.file + "  " + report.format->description + "\n\n";
  text += Line("pool", DescribePool(report.pool));
  if (const std::string options = DescribeOptions(report.pool); !options.empty()) text += Line("options", options);
  text += Line("operations", FormatCount(program.allocations, "allocation") + ", " +
                                 FormatCount(program.frees, "free") + " on " + FormatCount(program.streams, "stream"));
  text += Line("failures", Failures(result));
  if (report.pool.lag > 0) text += Line("waits", FormatCount(result.waits) + " of a stream for the work of another");
  text += Line("peak live", FormatBytes(result.peak.live) + " at operation " + FormatCount(result.peak.step) + "; " +
                                FormatBytes(result.live_at_end) + " at the end");
  text +=
      Line("reserved", FormatBytes(result.peak.reserved) + " then, " + FormatBytes(result.reserved_most) + " at most");
  if (report.pool.has_cache_bounds()) {
    text += Line("given back",
                 FormatBytes(result.given_back) + "; " + FormatBytes(result.reserved_at_end) + " reserved at the end");
  }
  text += Line("reserved/live", Number("%.3f", report.ReservedOverLive()));
  text += Line("rounding", FormatBytes(result.peak.rounding) + " at peak live (" +
                               trace_viewer::FormatPercent(result.peak.rounding, result.peak.live) + ")");
  text += Line("fragmentation", Number("%.3f", report.Fragmentation()) + " at operation " +
                                    FormatCount(result.worst.step) + ": " + FormatBytes(result.worst.free) +
                                    " free, the largest hole " + FormatBytes(result.worst.largest_hole));
  text +=
      Line("addresses", std::string("crc32c ") + crc + (result.repeated_equally ? ", in two runs" : ", NOT REPEATED"));
  text += Line("time", Number("%.0f ns an operation", result.ns_per_operation));
  return text + Remarks(report);
}

}  // namespace tierlib::trace_replay
