// What was done, as a table for people.
#ifndef TIERLIB_TOOLS_PALETTIZE_REPORT_H_
#define TIERLIB_TOOLS_PALETTIZE_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tierlib::palettize {

struct ReportRow {
  std::string name;
  std::vector<std::int64_t> sizes;
  std::string form;   // "3 bits", "8 bits, trained", "dense: vector"
  double error = -1;  // relative, root mean square; negative: none to tell
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

struct Report {
  std::vector<ReportRow> rows;
  std::uint64_t file_bytes = 0;  // of the output
  double seconds = 0;

  // The rows, then sums, the rate at which the input was read, and the most memory that this process has had.
  std::string Text() const;
};

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_REPORT_H_
