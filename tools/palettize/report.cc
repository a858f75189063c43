#include "report.h"

#include <sys/resource.h>

#include <cstdio>

#include "tierlib/bytes.h"
#include "trace_viewer/numbers.h"
#include "trace_viewer/text_table.h"

namespace tierlib::palettize {
namespace {

std::string Shape(const std::vector<std::int64_t>& sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::string Number(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Error(double error) {
  if (error < 0) return "";
  return error == 0 ? "exact" : Number("%.3f %%", 100 * error);
}

// KiB to bytes: what Linux counts ru_maxrss in.
std::uint64_t PeakMemory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

std::string Report::Text() const {
  trace_viewer::TextTable table;
  table.AddRow({"tensor", "shape", "form", "error", "size"});
  std::uint64_t in = 0, out = 0;
  for (const ReportRow& row : rows) {
    table.AddRow(
        {trace_viewer::Printable(row.name), Shape(row.sizes), row.form, Error(row.error), FormatBytes(row.bytes_out)});
    in += row.bytes_in;
    out += row.bytes_out;
  }
  std::string text = table.ToString() + "\n" + trace_viewer::FormatCount(rows.size(), "tensor") + ", " +
                     FormatBytes(in) + " -> " + FormatBytes(out);
  if (in > 0) text += " (" + Number("%.1f", 100.0 * static_cast<double>(out) / static_cast<double>(in)) + " %)";
  text += ", file " + FormatBytes(file_bytes) + "\n" + Number("%.1f s", seconds) + ", " +
          Number("%.0f MB/s", static_cast<double>(in) / 1e6 / (seconds > 0 ? seconds : 1e-9)) + " of input, " +
          FormatBytes(PeakMemory()) + " of memory at most\n";
  return text;
}

}  // namespace tierlib::palettize
