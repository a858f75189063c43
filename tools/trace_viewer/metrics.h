// Metrics: the figures of a summary as one list of names and numbers, for what compares them.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_METRICS_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trace/summary.h"

namespace tierlib::trace_viewer {

enum class Unit : std::uint8_t { kCount, kBytes, kNanoseconds, kBytesPerSecond };

struct Metric {
  std::string name;  // "bytes_moved"
  Unit unit = Unit::kCount;
  std::uint64_t value = 0;
};

// Every figure of the summary; always the same names in the same order.
std::vector<Metric> MetricsOf(const trace::Summary& summary);

// The figures of steps, added up (of device_peak_bytes: the largest); their names begin with "aligned_". `steps`:
// those that another trace has too.
std::vector<Metric> AlignedMetricsOf(const std::vector<trace::StepFigures>& steps);

// "512 MiB", "2.5 ms", "17", "1.95 GiB/s".
std::string FormatMetric(Unit unit, std::uint64_t value);
const char* UnitName(Unit unit);  // "bytes", "ns", "count", "bytes/s"

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_METRICS_H_
