// What a run of offload_bench measured, as tables, as JSON, and against the goals.
#ifndef TIERLIB_BENCH_OFFLOAD_BENCH_REPORT_H_
#define TIERLIB_BENCH_OFFLOAD_BENCH_REPORT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "offload_bench/models.h"
#include "tierlib/statistics.h"

namespace tierlib::bench {

// Saved bytes of one pass, parameters left out.
struct BytesRow {
  Model model;
  std::uint64_t naive = 0;             // each saved value by itself
  std::uint64_t identity = 0;          // moved with a hop limit of 0
  std::uint64_t walk = 0;              // moved with one of 4
  std::vector<std::uint64_t> by_hops;  // moved, by hop limit from 0
};

// The step of median time of one case.
struct StepRow {
  std::string model;
  // off, naive, marshal; without spare memory: compact, and ahead: values come back before they are asked for.
  std::string mode;
  std::string link;       // "2 GB/s", "5 GB/s", "unthrottled"; "-" where nothing is moved
  double step_ms = 0;     // on the host's clock, from before BeginStep until the stream had ended it
  double compute_ms = 0;  // this and the rest by the runtime's ledger of time
  double stall_ms = 0;
  double unknown_ms = 0;
  double transfer_ms = 0;
  double exposed_ms = 0;
  double hidden_ms = 0;
  double moved = 0;                   // bytes
  double moved_in = 0;                // bytes
  double taken_back = 0;              // bytes
  double copies = 0;                  // out (count)
  double prefetched = 0;              // bytes, of moved_in
  double freed_over_moved = 0;        // of marshal: freed for what was moved
  double freed_nothing = 0;           // bytes, moved and held by the program all the time
  double freed_made_again = 0;        // bytes, for what is made again
  double avoided_lineage = 0;         // bytes
  std::vector<StorageStalls> stalls;  // of all steps so far, the longest first
  std::uint64_t steps = 0;            // those
  double Overlap() const { return transfer_ms == 0 ? 1 : hidden_ms / transfer_ms; }
  // Of the step, what the ledger of time does not explain.
  double Unexplained() const { return (step_ms - compute_ms - stall_ms) / step_ms; }
};

struct SmallCosts {
  double pack_unpack_ns = 0;       // of a value that is there already
  double pack_unpack_step_ns = 0;  // the same within a step, whose time is taken
  double moved_value_ns = 0;       // a small value packed, moved, and taken back, outside steps
  double moved_value_step_ns = 0;  // within a step
  // 4096 values of 4 KiB moved out, by copies that take 5 us each at least: one by one, and gathered.
  double small_values_ms = 0;
  double small_values_gathered_ms = 0;
  // Of a step, what taking its time costs at most: the host's share and the device's for each value moved.
  double LedgerShare(const StepRow& row) const {
    return row.copies * (moved_value_step_ns - moved_value_ns) / (1e6 * row.step_ms);
  }
};

// Time of a step whose time the runtime takes over that of one without: the middle of so many pairs, and their
// quartiles. No goal is checked on it, as one step differs from the next by more than the goal: LedgerShare is.
struct LedgerComparison {
  std::string model;
  int pairs = 0;  // 0: none were measured
  double median = 1;
  double lower = 1;
  double upper = 1;
};

struct Measured {
  std::vector<BytesRow> bytes;
  std::vector<StepRow> steps;
  SmallCosts costs;
  LedgerComparison ledger;
};

// {"rows": [...], "steps": [...], "costs": {...}, "ledger": {...}, "machine", "date", "command"}
std::string SummaryJson(const Measured& measured, const std::string& command);
void PrintTables(const Measured& measured, std::ostream& out);
// Prints each goal with its figure; returns how many are missed.
int PrintGoals(const Measured& measured, std::ostream& out);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_OFFLOAD_BENCH_REPORT_H_
