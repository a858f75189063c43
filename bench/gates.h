// What a small benchmark measured, against what it must reach.
#ifndef TIERLIB_BENCH_GATES_H_
#define TIERLIB_BENCH_GATES_H_

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace tierlib::bench {

// The lowest time of each benchmark's repetitions, in ns an iteration: what disturbs a run only adds. Processor time of
// the benchmark's thread, or, where that is not all that works, time on the clock. Benchmarks are known by the names
// that they were registered with.
class LowestTimes : public benchmark::ConsoleReporter {
 public:
  enum class Clock { kProcessor, kReal };

  explicit LowestTimes(Clock clock = Clock::kProcessor) : ConsoleReporter(OO_None), clock_(clock) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.iterations == 0) continue;
      const double seconds = clock_ == Clock::kReal ? run.real_accumulated_time : run.cpu_accumulated_time;
      const double ns = seconds / static_cast<double>(run.iterations) * 1e9;
      const auto [found, is_new] = ns_.try_emplace(run.run_name.function_name, ns);
      if (!is_new) found->second = std::min(found->second, ns);
    }
  }
  bool Has(const std::string& name) const { return ns_.count(name) != 0; }
  double ns(const std::string& name) const { return ns_.at(name); }

 private:
  const Clock clock_;
  std::map<std::string, double> ns_;
};

struct Gates {
  bool kept = true;
  void Say(const char* what, double value, const char* unit, double most) {
    const bool keeps = value <= most;
    kept = kept && keeps;
    std::printf("%-60s %8.3g %s, at most %.3g: %s\n", what, value, unit, most, keeps ? "kept" : "NOT KEPT");
  }
};

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_GATES_H_
