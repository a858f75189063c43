// What offload moves, and what it costs: saved bytes naive, by storage identity alone and with a walk over lineage,
// beside PyTorch's; steps without offload, with naive offload and with tierlib's, over links of several speeds, with
// the time of transfers that was hidden behind compute and that was not; the cost of the verbs. Compute runs on one
// thread of an emulated device, its copy engines beside it.
//
// usage: offload_bench [--summary FILE.json] [--check] [--rounds N] [--steps N] [--case NAME] [--mode NAME]
//   --summary FILE.json   write what was measured as {"rows": [...], "steps": [...], "costs", "machine", ...}
//   --check               exit code 1 where a goal is missed
//   --rounds N            pass N times over modes and links (2)
//   --steps N             time N steps each time (3); 0: bytes alone
//   --case NAME           this model only
//   --mode NAME           steps in this mode only
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "offload_bench/measure.h"
#include "offload_bench/report.h"

namespace tierlib::bench {
namespace {

struct Arguments {
  std::string command;
  std::string summary;
  std::string model;
  std::string mode;
  int rounds = 2;
  int steps = 3;
  bool check = false;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 0; i < argc; ++i) arguments.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--check") {
      arguments.check = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    if (argument == "--summary") {
      arguments.summary = value;
    } else if (argument == "--case") {
      arguments.model = value;
    } else if (argument == "--mode") {
      arguments.mode = value;
    } else if (argument == "--rounds") {
      arguments.rounds = std::atoi(value);
    } else if (argument == "--steps") {
      arguments.steps = std::atoi(value);
    } else {
      return false;
    }
  }
  return true;
}

int Run(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: offload_bench [--summary FILE.json] [--check] [--rounds N] [--steps N] [--case NAME] "
                 "[--mode NAME]\n");
    return 2;
  }
  Measured measured;
  for (const Model& model : Models()) {
    if (!arguments.model.empty() && model.name != arguments.model) continue;
    measured.bytes.push_back(CountBytes(model));
    if (!model.timed || arguments.steps <= 0) continue;
    for (StepRow& row : TimeSteps(model, arguments.mode, arguments.rounds, arguments.steps)) {
      measured.steps.push_back(std::move(row));
    }
    if (measured.ledger.pairs == 0) measured.ledger = CompareLedger(model, 3 * arguments.rounds * arguments.steps);
  }
  if (measured.bytes.empty()) return std::fprintf(stderr, "offload_bench: no case of that name\n"), 2;
  if (!arguments.mode.empty() && measured.steps.empty()) {
    return std::fprintf(stderr, "offload_bench: no steps of mode '%s': off, naive, marshal, compact, ahead, copied\n",
                        arguments.mode.c_str()),
           2;
  }
  if (arguments.steps > 0) measured.costs = MeasureSmallCosts();
  PrintTables(measured, std::cout);
  const int missed = PrintGoals(measured, std::cout);
  std::cout.flush();
  if (!arguments.summary.empty()) {
    std::ofstream file(arguments.summary);
    file << SummaryJson(measured, arguments.command);
    if (!file.flush()) {
      return std::fprintf(stderr, "offload_bench: cannot write %s\n", arguments.summary.c_str()), 1;
    }
  }
  return arguments.check && missed > 0 ? 1 : 0;
}

}  // namespace
}  // namespace tierlib::bench

int main(int argc, char** argv) { return tierlib::bench::Run(argc, argv); }
