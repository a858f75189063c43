#include "alloc_bench/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "machine.h"

namespace tierlib::bench {
namespace {

const Row* Find(const std::vector<Row>& rows, const std::string& backend, const Row& like) {
  for (const Row& row : rows) {
    if (row.backend == backend && row.pattern == like.pattern && row.threads == like.threads &&
        row.touched == like.touched) {
      return &row;
    }
  }
  return nullptr;
}

// Two threads that take turns: what tierlib has for programs that do little but allocate and free.
constexpr const char* kTurns = "tierlib_turns";

// Of the peers, pow2 left out: it has a gate of its own.
const Row* FastestPeer(const std::vector<Row>& rows, const Row& like) {
  const Row* fastest = nullptr;
  for (const Row& row : rows) {
    if (row.backend == "tierlib" || row.backend == kTurns || row.backend == "pow2" ||
        Find(rows, row.backend, like) != &row)
      continue;
    if (fastest == nullptr || row.ns_per_pair < fastest->ns_per_pair) fastest = &row;
  }
  return fastest;
}

std::string Title(const Row& row) {
  return absl::StrFormat("%s, %s, %d thread%s", row.pattern, row.touched ? "touched" : "untouched", row.threads,
                         row.threads == 1 ? "" : "s");
}

struct Gate {
  std::ostream& out;
  int tried = 0;
  int missed = 0;

  void Check(const std::string& what, const std::string& figure, bool reached) {
    out << absl::StrFormat("%-7s  %-53s %s\n", reached ? "reached" : "MISSED", what, figure);
    ++tried;
    missed += reached ? 0 : 1;
  }
  // At most `most` of `than`'s time, or less than it where `most` is 1.
  void CheckPair(const Row& row, const Row* than, double most) {
    if (than == nullptr) return;
    const double ratio = row.ns_per_pair / than->ns_per_pair;
    const std::string bound = most == 1 ? " < " : absl::StrFormat(" <= %.1fx ", most);
    const std::string title = Title(row) + (row.backend == kTurns ? ", turns" : "");
    const std::string other = row.threads != than->threads ? "1 thread" : than->backend;
    Check(title + bound + other, absl::StrFormat("%.2fx", ratio), most == 1 ? ratio < 1 : ratio <= most);
  }
};

}  // namespace

std::string SummaryJson(const std::vector<Row>& rows, const std::string& command) {
  nlohmann::ordered_json json;
  json["rows"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json entry;
    entry["backend"] = row.backend;
    entry["pattern"] = row.pattern;
    entry["threads"] = row.threads;
    entry["touched"] = row.touched;
    entry["ns_per_pair"] = row.ns_per_pair;
    entry["variation"] = row.variation;
    entry["busy_processors"] = row.busy_processors;
    entry["reserved_over_live"] = nullptr;
    if (row.reserved_over_live) entry["reserved_over_live"] = *row.reserved_over_live;
    json["rows"].push_back(std::move(entry));
  }
  json["machine"] = Machine();
  json["date"] = Date();
  json["command"] = command;
  return json.dump(1) + "\n";
}

void PrintTable(const std::vector<Row>& rows, std::ostream& out) {
  const Row* before = nullptr;
  for (const Row& row : rows) {
    if (before == nullptr || Title(row) != Title(*before)) {
      out << absl::StrFormat("\n%-40s %10s %10s %6s %8s %16s\n", Title(row), "ns a pair", "variation", "busy", "/ pow2",
                             "reserved / live");
    }
    before = &row;
    const Row* pow2 = Find(rows, "pow2", row);
    out << absl::StrFormat("  %-38s %10.1f %9.1f%% %6.1f %8s %16s\n", row.backend, row.ns_per_pair, 100 * row.variation,
                           row.busy_processors,
                           pow2 == nullptr ? "-" : absl::StrFormat("%.2f", row.ns_per_pair / pow2->ns_per_pair),
                           row.reserved_over_live ? absl::StrFormat("%.5f", *row.reserved_over_live) : "-");
  }
  out << "\n";
}

int PrintGates(const std::vector<Row>& rows, std::ostream& out) {
  Gate gate{out};
  for (const Row& row : rows) {
    if (row.backend != "tierlib" || row.touched || row.pattern == "training_step") continue;
    gate.CheckPair(row, Find(rows, "pow2", row), 2.0);
    gate.CheckPair(row, FastestPeer(rows, row), 1);
    if (row.threads == 2) {
      Row alone = row;
      alone.threads = 1;
      const Row* const one = Find(rows, "tierlib", alone);
      gate.CheckPair(row, one, 1.3);
      if (const Row* const turns = Find(rows, kTurns, row)) gate.CheckPair(*turns, one, 1.3);
    }
    const double waste = row.pattern == "step" ? 1.002 : 1.150;
    if (row.reserved_over_live) {
      gate.Check(absl::StrFormat("%s reserved / live <= %.3f", Title(row), waste),
                 absl::StrFormat("%.5f", *row.reserved_over_live), *row.reserved_over_live <= waste);
    }
  }
  if (gate.tried == 0) out << "no gate was tried\n";
  return gate.tried == 0 ? 1 : gate.missed;
}

}  // namespace tierlib::bench
