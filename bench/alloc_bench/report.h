// Report: what a run of alloc_bench measured, as a table, as JSON, and against the gates.
#ifndef TIERLIB_BENCH_ALLOC_BENCH_REPORT_H_
#define TIERLIB_BENCH_ALLOC_BENCH_REPORT_H_

#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace tierlib::bench {

struct Row {
  std::string backend;
  std::string pattern;
  int threads = 1;
  bool touched = false;
  double ns_per_pair = 0;                    // CPU time, median over the repetitions
  double variation = 0;                      // of the repetitions: standard deviation / mean
  double busy_processors = 0;                // CPU time / time: near 2 where two threads really ran beside each other
  std::optional<double> reserved_over_live;  // where the backend counts it
};

// {"rows": [...], "machine": ..., "date": ..., "command": ...}
std::string SummaryJson(const std::vector<Row>& rows, const std::string& command);

void PrintTable(const std::vector<Row>& rows, std::ostream& out);

// Prints each gate with its figure; returns how many are missed. Gates whose rows were not measured are not tried;
// returns 1 where none was.
int PrintGates(const std::vector<Row>& rows, std::ostream& out);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ALLOC_BENCH_REPORT_H_
