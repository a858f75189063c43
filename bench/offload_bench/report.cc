#include "offload_bench/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "machine.h"

namespace tierlib::bench {
namespace {

using Json = nlohmann::ordered_json;

double Megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

Json ToJson(const BytesRow& row) {
  return {{"case", row.model.name},
          {"bytes_naive", row.naive},
          {"bytes_identity", row.identity},
          {"bytes_walk", row.walk},
          {"bytes_by_hop_limit", row.by_hops},
          {"torch_mb_naive", row.model.torch_naive_mb},
          {"torch_mb_identity", row.model.torch_identity_mb},
          {"torch_mb_walk", row.model.torch_walk_mb}};
}

Json ToJson(const StepRow& row, const SmallCosts& costs) {
  return {{"case", row.model},
          {"mode", row.mode},
          {"link", row.link},
          {"step_ms", row.step_ms},
          {"exposed_ms", row.exposed_ms},
          {"hidden_ms", row.hidden_ms},
          {"freed_over_moved", row.mode != "off" && row.mode != "naive" ? Json(row.freed_over_moved) : Json(nullptr)},
          {"compute_ms", row.compute_ms},
          {"stall_ms", row.stall_ms},
          {"unknown_ms", row.unknown_ms},
          {"moved", row.moved},
          {"moved_in", row.moved_in},
          {"taken_back", row.taken_back},
          {"prefetched", row.prefetched},
          {"freed_nothing", row.freed_nothing},
          {"freed_made_again", row.freed_made_again},
          {"transfer_ms", row.transfer_ms},
          {"overlap", row.Overlap()},
          {"ledger_share", costs.LedgerShare(row)}};
}

// The step without offload of the same model.
const StepRow* Without(const std::vector<StepRow>& steps, const StepRow& row) {
  for (const StepRow& one : steps) {
    if (one.model == row.model && one.mode == "off") return &one;
  }
  return nullptr;
}

struct Goals {
  std::ostream& out;
  int missed = 0;

  void Check(const std::string& what, const std::string& figure, bool reached) {
    out << absl::StrFormat("%-7s  %-72s %s\n", reached ? "reached" : "MISSED", what, figure);
    missed += reached ? 0 : 1;
  }
};

}  // namespace

std::string SummaryJson(const Measured& measured, const std::string& command) {
  Json json;
  json["rows"] = Json::array();
  for (const BytesRow& row : measured.bytes) json["rows"].push_back(ToJson(row));
  json["steps"] = Json::array();
  for (const StepRow& row : measured.steps) json["steps"].push_back(ToJson(row, measured.costs));
  json["costs"] = {{"pack_unpack_ns", measured.costs.pack_unpack_ns},
                   {"pack_unpack_in_step_ns", measured.costs.pack_unpack_step_ns},
                   {"moved_value_ns", measured.costs.moved_value_ns},
                   {"moved_value_in_step_ns", measured.costs.moved_value_step_ns},
                   {"small_values_ms", measured.costs.small_values_ms},
                   {"small_values_gathered_ms", measured.costs.small_values_gathered_ms}};
  const LedgerComparison& ledger = measured.ledger;
  json["ledger"] = {{"case", ledger.model},
                    {"pairs", ledger.pairs},
                    {"timed_over_untimed", ledger.median},
                    {"lower_quartile", ledger.lower},
                    {"upper_quartile", ledger.upper}};
  json["machine"] = Machine();
  json["date"] = Date();
  json["command"] = command;
  return json.dump(1) + "\n";
}

void PrintTables(const Measured& measured, std::ostream& out) {
  out << "Saved bytes without parameters, MB of 1e6, and by PyTorch\n";
  out << absl::StrFormat("  %-20s %18s %18s %18s   %s\n", "", "naive", "identity", "walk", "moved by hop limit 0 ...");
  for (const BytesRow& row : measured.bytes) {
    const auto pair = [](std::uint64_t bytes, double torch) {
      return absl::StrFormat("%.2f (%.2f)", Megabytes(bytes), torch);
    };
    std::string curve;
    for (const std::uint64_t bytes : row.by_hops) curve += absl::StrFormat(" %.1f", Megabytes(bytes));
    out << absl::StrFormat("  %-20s %18s %18s %18s  %s\n", row.model.name, pair(row.naive, row.model.torch_naive_mb),
                           pair(row.identity, row.model.torch_identity_mb), pair(row.walk, row.model.torch_walk_mb),
                           curve);
  }
  out << absl::StrFormat("\n%-20s %-8s %-12s %8s %6s %8s %8s %8s %9s %8s %8s %8s %6s %8s %8s %8s %8s\n", "Steps, ms",
                         "mode", "link", "step", "/ off", "compute", "stalls", "unknown", "transfer", "exposed",
                         "hidden", "overlap", "f/m", "MB out", "in", "ahead", "back");
  for (const StepRow& row : measured.steps) {
    const StepRow* off = Without(measured.steps, row);
    out << absl::StrFormat(
        "  %-18s %-8s %-12s %8.1f %6.3f %8.1f %8.1f %8.1f %9.1f %8.1f %8.1f %7.1f%% %6s %8.1f %8.1f %8.1f %8.1f\n",
        row.model, row.mode, row.link, row.step_ms, off == nullptr ? 1 : row.step_ms / off->step_ms, row.compute_ms,
        row.stall_ms, row.unknown_ms, row.transfer_ms, row.exposed_ms, row.hidden_ms, 100 * row.Overlap(),
        row.mode != "off" && row.mode != "naive" ? absl::StrFormat("%.3f", row.freed_over_moved) : "-", row.moved / 1e6,
        row.moved_in / 1e6, row.prefetched / 1e6, row.taken_back / 1e6);
  }
  out << "\nLongest stalls, ms a step: late copy in, tail of a copy out, write fence, other streams\n";
  for (const StepRow& row : measured.steps) {
    for (std::size_t i = 0; row.mode != "off" && row.mode != "naive" && i < std::min<std::size_t>(row.stalls.size(), 4);
         ++i) {
      const StorageStalls& stall = row.stalls[i];
      const StallTimes& times = stall.times;
      const auto ms = [&](std::uint64_t ns) { return static_cast<double>(ns) / 1e6 / static_cast<double>(row.steps); };
      out << absl::StrFormat("  %-18s %-8s %-12s %-28s %8.2f %8.2f %8.2f %8.2f\n", row.model, row.mode, row.link,
                             stall.label.empty() ? "(memory)" : stall.label, ms(times.late_copy_in_ns),
                             ms(times.copy_out_tail_ns), ms(times.write_fence_ns),
                             ms(times.allocation_ns + times.producer_ns));
    }
  }
  const SmallCosts& costs = measured.costs;
  out << absl::StrFormat("\npack + unpack of a value that is there: %.0f ns, %.0f ns within a step\n",
                         costs.pack_unpack_ns, costs.pack_unpack_step_ns);
  out << absl::StrFormat("a small value moved out and back: %.0f ns, %.0f ns within a step\n", costs.moved_value_ns,
                         costs.moved_value_step_ns);
  if (measured.ledger.pairs > 0) {
    out << absl::StrFormat(
        "a step with its time taken over one without: %.4f, quartiles %.4f and %.4f of %d pairs of %s\n",
        measured.ledger.median, measured.ledger.lower, measured.ledger.upper, measured.ledger.pairs,
        measured.ledger.model);
  }
  out << absl::StrFormat("4096 values of 4 KiB out, 5 us a copy: %.1f ms one by one, %.1f ms gathered\n\n",
                         costs.small_values_ms, costs.small_values_gathered_ms);
}

int PrintGoals(const Measured& measured, std::ostream& out) {
  Goals goals{out};
  for (const StepRow& row : measured.steps) {
    const std::string title = absl::StrFormat("%s, %s, %s: ", row.model, row.mode, row.link);
    goals.Check(title + "compute + stalls within 1 % of the step", absl::StrFormat("%.2f %%", 100 * row.Unexplained()),
                row.Unexplained() <= 0.01);
    if (row.mode == "off" || row.mode == "naive") continue;
    // Of `compact` nothing is asked: its copies in wait for memory that the work just before them used.
    if (row.mode != "compact" && row.compute_ms > row.transfer_ms) {
      goals.Check(title + "overlap >= 90 %", absl::StrFormat("%.1f %%", 100 * row.Overlap()), row.Overlap() >= 0.9);
    }
    goals.Check(title + "freed / moved = 1.00", absl::StrFormat("%.4f", row.freed_over_moved),
                row.freed_over_moved > 0.995 && row.freed_over_moved <= 1);
    // To the byte: what freed nothing is an input that the program has all the time.
    goals.Check(title + "moved - freed - held by the program = 0",
                absl::StrFormat("%.0f", row.moved * (1 - row.freed_over_moved) - row.freed_nothing),
                std::abs(row.moved * (1 - row.freed_over_moved) - row.freed_nothing) < 1);
    if (row.avoided_lineage == 0) continue;
    const double made_again = row.freed_made_again / row.avoided_lineage;
    goals.Check(title + "freed / avoided by lineage = 1.00", absl::StrFormat("%.4f", made_again),
                made_again > 0.995 && made_again <= 1);
  }
  const SmallCosts& costs = measured.costs;
  double share = 0;
  for (const StepRow& row : measured.steps) share = std::max(share, costs.LedgerShare(row));
  if (costs.pack_unpack_ns > 0) {
    goals.Check("cost of the ledger of time <= 0.5 % of a step", absl::StrFormat("%.4f %%", 100 * share),
                share <= 0.005);
    goals.Check("pack + unpack of a value that is there <= 1000 ns", absl::StrFormat("%.0f ns", costs.pack_unpack_ns),
                costs.pack_unpack_ns <= 1000);
  }
  return goals.missed;
}

}  // namespace tierlib::bench
