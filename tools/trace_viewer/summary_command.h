// tierlib-trace summary FILE [--json]: what a run moved, what it did not have to, and what that cost.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_SUMMARY_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_SUMMARY_COMMAND_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "trace/summary.h"

namespace tierlib::trace_viewer {

struct SummaryOptions {
  std::string file;  // "-": standard input
  bool json = false;
};

// Prints to standard output, and problems of the file to standard error. Returns an exit code.
int RunSummary(const SummaryOptions& options);

// The summary for people: some 30 lines, at most about 120 columns.
std::string SummaryText(const std::string& file, const trace::Summary& summary);
// The same figures for programs. "schema_version" rises when a field changes its meaning or goes away.
std::string SummaryJson(const std::string& file, const trace::Summary& summary);
// Of a merged file: its ranks in "ranks", where there are several.
std::string SummaryJson(const std::string& file, const std::vector<trace::Summary>& ranks);

// The fields of one trace in it.
nlohmann::ordered_json SummaryFields(const trace::Summary& summary);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_SUMMARY_COMMAND_H_
