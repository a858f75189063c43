// Speed and waste of tierlib's block pool beside other allocators, all in one run, the repetitions of all cases
// shuffled so that the machine's noise hits all alike. Time is CPU time of an allocation and its free; workload.h has
// the patterns. Two threads share one pool and have sequences of their own. Ends with a table and the gates.
//
// mimalloc, jemalloc and tcmalloc take part where their libraries are installed (Debian: libmimalloc2.0, libjemalloc2,
// libtcmalloc-minimal4). Two threads that run beside each other wait for each other's locks, and take up to five times
// what they take by turns: other load on the machine hides that. The table's "busy" says how many processors they had.
//
// usage: alloc_bench [--summary FILE.json] [--check] [Google Benchmark's options]
//   --summary FILE.json   write what was measured as {"rows": [...], "machine", "date", "command"}
//   --check               exit code 1 where a gate is missed, or none was tried
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "alloc_bench/backend.h"
#include "alloc_bench/report.h"
#include "alloc_bench/workload.h"

namespace tierlib::bench {
namespace {

// One row's measurement.
class Case {
 public:
  Case(const BackendKind& kind, std::string pattern, int threads, bool touched, const std::vector<Sequence>& sequences)
      : kind_(kind), touched_(touched), sequences_(sequences), together_(threads) {
    row_.backend = kind.name;
    row_.pattern = std::move(pattern);
    row_.threads = threads;
    row_.touched = touched;
  }

  std::string Name() const {
    return absl::StrCat(row_.backend, "/", row_.pattern, "/", row_.touched ? "touched" : "untouched");
  }
  Row& row() { return row_; }

  // Called by each of the threads.
  void Run(benchmark::State& state) {
    const int thread = state.thread_index();
    if (thread == 0) {
      backend_ = kind_.make(row_.threads, touched_);
      if (kind_.counts_reserved && !row_.reserved_over_live) {
        row_.reserved_over_live = ReservedOverLive(kind_, sequences_);
      }
    }
    together_.arrive_and_wait();
    const Sequence& sequence = sequences_[static_cast<std::size_t>(thread)];
    Player player(sequence, *backend_, thread, touched_);
    // What the first passes take from the system is not what a pool is for. All threads hold the most at one moment,
    // and random sequences come to the end once.
    player.Start();
    player.PlayHalf();
    together_.arrive_and_wait();
    do player.PlayHalf();
    while (!player.at_start());
    for (auto _ : state) player.PlayBatch();
    player.Finish();
    together_.arrive_and_wait();
    if (thread == 0) backend_.reset();
    using Counter = benchmark::Counter;
    state.counters["pair_s"] = Counter(
        static_cast<double>(sequence.batch) / 2,
        static_cast<Counter::Flags>(Counter::kAvgThreadsRate | Counter::kIsIterationInvariant | Counter::kInvert));
    if (row_.reserved_over_live) {
      state.counters["reserved_over_live"] = Counter(*row_.reserved_over_live, Counter::kAvgThreads);
    }
  }

 private:
  const BackendKind& kind_;
  const bool touched_;
  const std::vector<Sequence>& sequences_;  // by thread
  std::barrier<> together_;
  std::unique_ptr<Backend> backend_;
  Row row_;
};

// Everything that benchmarks refer to while they run.
struct Suite {
  std::vector<BackendKind> kinds;
  std::map<std::pair<std::string, bool>, std::vector<Sequence>> sequences;  // of two threads, by pattern and touched
  std::map<std::pair<std::string, bool>, std::vector<Sequence>> alone;      // of the first of them
  std::vector<std::unique_ptr<Case>> cases;                                 // in the order of the table
};

void Register(Suite& suite) {
  for (const bool touched : {false, true}) {
    for (const std::string& pattern : kPatterns) {
      for (const int threads : {1, 2}) {
        auto& sequences = (threads == 1 ? suite.alone : suite.sequences)[{pattern, touched}];
        for (int thread = 0; thread < threads; ++thread) {
          sequences.push_back(MakeSequence(pattern, touched, thread));
        }
        for (const BackendKind& kind : suite.kinds) {
          if (!kind.missing.empty() || (kind.several_threads && threads == 1)) continue;
          Case* each =
              suite.cases.emplace_back(std::make_unique<Case>(kind, pattern, threads, touched, sequences)).get();
          benchmark::RegisterBenchmark(each->Name().c_str(), [each](benchmark::State& state) { each->Run(state); })
              ->Threads(threads)
              ->Unit(benchmark::kMicrosecond);
        }
      }
    }
  }
}

// Passes everything on to the reporter that the options ask for, and keeps the medians.
class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(Suite& suite) : suite_(suite), shown_(benchmark::CreateDefaultDisplayReporter()) {}

  bool ReportContext(const Context& context) override { return shown_->ReportContext(context); }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) Keep(run);
    shown_->ReportRuns(runs);
  }
  void Finalize() override { shown_->Finalize(); }

 private:
  void Keep(const Run& run) {
    const auto pair = run.counters.find("pair_s");
    if (run.error_occurred || pair == run.counters.end()) return;
    const bool only_one = run.run_type == Run::RT_Iteration && run.repetitions == 1;
    for (const std::unique_ptr<Case>& each : suite_.cases) {
      Row& row = each->row();
      if (each->Name() != run.run_name.function_name || row.threads != run.threads) continue;
      if (only_one || run.aggregate_name == "median") {
        row.ns_per_pair = 1e9 * pair->second.value;
        row.busy_processors = run.GetAdjustedCPUTime() / run.GetAdjustedRealTime();
      }
      if (run.aggregate_name == "cv") row.variation = pair->second.value;
    }
  }

  Suite& suite_;
  benchmark::BenchmarkReporter* const shown_;
};

struct Arguments {
  std::string command;
  std::string summary;
  bool check = false;
  bool json_on_stdout = false;
  std::vector<std::string> others;  // Google Benchmark's, with defaults in front, so that given ones win
};

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  arguments.others = {argv[0], "--benchmark_repetitions=9", "--benchmark_enable_random_interleaving=true",
                      "--benchmark_display_aggregates_only=true", "--benchmark_min_time=0.05"};
  for (int i = 0; i < argc; ++i) absl::StrAppend(&arguments.command, i == 0 ? "" : " ", argv[i]);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--summary" && i + 1 < argc) {
      arguments.summary = argv[++i];
    } else if (argument.substr(0, 10) == "--summary=") {
      arguments.summary = argument.substr(10);
    } else if (argument == "--check") {
      arguments.check = true;
    } else if (argument == "--summary") {
      return std::nullopt;
    } else {
      arguments.json_on_stdout |= argument.substr(0, 19) == "--benchmark_format=" && argument.substr(19) != "console";
      arguments.others.emplace_back(argument);
    }
  }
  return arguments;
}

// jemalloc wants more thread-local memory than the dynamic loader keeps for libraries that are loaded late, unless it
// is told to when the program starts. Starts the program again with that setting where it is missing.
void StartAgainWithThreadLocalMemory(char** argv, const std::vector<BackendKind>& kinds) {
  constexpr const char* kSetting = "glibc.rtld.optional_static_tls=16384";
  for (const BackendKind& kind : kinds) {
    if (!absl::StrContains(kind.missing, "static TLS")) continue;
    const char* before = std::getenv("GLIBC_TUNABLES");
    if (before != nullptr && absl::StrContains(before, "optional_static_tls")) return;
    setenv("GLIBC_TUNABLES",
           absl::StrCat(before == nullptr ? "" : before, before == nullptr ? "" : ":", kSetting).c_str(), 1);
    execv("/proc/self/exe", argv);
    std::fprintf(stderr, "alloc_bench: run it as GLIBC_TUNABLES=%s %s\n", kSetting, argv[0]);
    return;
  }
}

int Run(int argc, char** argv) {
  Suite suite;
  suite.kinds = AllKinds();
  StartAgainWithThreadLocalMemory(argv, suite.kinds);
  const std::optional<Arguments> arguments = Parse(argc, argv);
  if (!arguments) return std::fprintf(stderr, "alloc_bench: --summary needs a file\n"), 2;
  for (const BackendKind& kind : suite.kinds) {
    if (kind.missing.empty()) continue;
    std::fprintf(stderr, "alloc_bench: %s is left out: %s\n", kind.name.c_str(), kind.missing.c_str());
  }
  Register(suite);

  std::vector<std::string> strings = arguments->others;
  std::vector<char*> pointers;
  for (std::string& each : strings) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  int count = static_cast<int>(strings.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
  Collector collector(suite);
  benchmark::RunSpecifiedBenchmarks(&collector);

  std::vector<Row> rows;
  for (const std::unique_ptr<Case>& each : suite.cases) {
    if (each->row().ns_per_pair > 0) rows.push_back(each->row());
  }
  std::ostream& out = arguments->json_on_stdout ? std::cerr : std::cout;
  PrintTable(rows, out);
  const int missed = PrintGates(rows, out);
  out.flush();
  if (!arguments->summary.empty()) {
    std::ofstream file(arguments->summary);
    file << SummaryJson(rows, arguments->command);
    if (!file.flush()) return std::fprintf(stderr, "alloc_bench: cannot write %s\n", arguments->summary.c_str()), 1;
  }
  return arguments->check && missed > 0 ? 1 : 0;
}

}  // namespace
}  // namespace tierlib::bench

int main(int argc, char** argv) { return tierlib::bench::Run(argc, argv); }
