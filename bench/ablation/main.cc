// eDKM's Table 2, run: marshaling (M), uniquification (U) and sharding (S) of what clustering one weight saves for
// backward, on emulated devices, with the exact form behind them. Prints MiB on the host of one learner, by the tiers'
// own accounting, and seconds of its forward and backward pass, beside the paper's. Row "dense" is the chain without
// offload, for its time.
//
// Learners take turns (ablation/turns.h). Rows without S have no collectives: one learner runs and stands for all.
// Gradients of M, MU, MS and MUS, the latter two on every learner, are compared with those of "none" to the bit.
//
// Memory: rows with S hold about five maps of each learner at once: 10.5 GiB in all for the paper's problem, twice that
// in f32.
//
// --device cuda: on CUDA device 0, where the bytes are the card's and the host's. The chain of M, U and S has kernels
// of the host, which run there in memory that both reach: its seconds say nothing of the card. Rows dense and exact
// have kernels of the card.
//
// Rows without S run twice, dense and exact five times, and the fastest counts: the first pass waits for its memory.
//
// usage: ablation [--n 4096] [--bits 3] [--iterations 1] [--learners 8] [--dtype bf16|f32] [--device emulated|cuda]
//                 [--json] [--check]
//
// Exit code 1 where a row failed, whose error stands in its place.
//   --check   exit code 1 where a row keeps other bytes than it should, or its gradient is off (ablation/targets.h)
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "ablation/learner.h"
#include "ablation/targets.h"
#include "machine.h"
#include "tierlib/comm/thread_group.h"

namespace tierlib::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  int side = 4096;
  int bits = 3;
  int iterations = 1;
  int learners = 8;
  DType dtype = DType::kBF16;
  DeviceKind device = DeviceKind::kEmulated;
  bool json = false;
  bool check = false;
};

constexpr Row kRows[] = {
    {"none", "-", OffloadMode::kNaive, false, false, false, false, 1600, 8.67},
    {"M", "M", OffloadMode::kMarshal, false, false, false, false, 544, 8.97},
    {"MU", "M U", OffloadMode::kMarshal, true, false, false, false, 97, 15.9},
    {"MS", "M S", OffloadMode::kMarshal, false, true, false, false, 68, 9.5},
    {"MUS", "M U S", OffloadMode::kMarshal, true, true, false, false, 12, 14.9},
    {"dense", "dense, nothing moved", OffloadMode::kOff, false, false, false, true, 0, 0, /*reference=*/true},
    {"exact_with_w", "exact, W saved", OffloadMode::kMarshal, false, false, true, false},
    {"exact", "exact, W a parameter", OffloadMode::kMarshal, false, false, true, true},
};

struct Measured {
  std::uint64_t host_bytes = 0;
  std::uint64_t device_peak_bytes = 0;
  double seconds = 0;
  double gradient_error = 0;
};

bool ParseCount(std::string_view text, int low, int high, int& count) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc() && end == text.data() + text.size() && low <= count && count <= high;
}

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--json" || name == "--check") {
      (name == "--json" ? arguments.json : arguments.check) = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string_view value = argv[++i];
    if (name == "--n" && ParseCount(value, 16, 16'384, arguments.side)) continue;
    if (name == "--bits" && ParseCount(value, 1, 8, arguments.bits)) continue;
    if (name == "--iterations" && ParseCount(value, 1, 64, arguments.iterations)) continue;
    if (name == "--learners" && ParseCount(value, 1, 64, arguments.learners)) continue;
    if (name == "--device" && (value == "emulated" || value == "cuda")) {
      arguments.device = value == "cuda" ? DeviceKind::kCuda : DeviceKind::kEmulated;
      continue;
    }
    if (name != "--dtype" || (value != "bf16" && value != "f32")) return false;
    arguments.dtype = value == "f32" ? DType::kF32 : DType::kBF16;
  }
  return true;
}

// How often a row without learners runs: what a training step takes is a pass that finds its memory there.
int RoundsOf(const Row& row, DeviceKind device) {
  if (row.has_device_kernels()) return 5;
  return device == DeviceKind::kEmulated ? 2 : 1;
}

std::vector<LearnerResult> RunRow(const Problem& problem, const Row& row, const Arguments& arguments) {
  Turns turns;
  const Device device{arguments.device, RoundsOf(row, arguments.device)};
  std::vector<LearnerResult> results(row.share ? static_cast<std::size_t>(arguments.learners) : 1);
  if (!row.share) {
    results[0] = RunLearner(problem, row, arguments.dtype, device, turns, nullptr);
    return results;
  }
  // Learners wait for the others' turns too: far more than any of them should need.
  constexpr std::uint64_t kDeadlineNs = 1'800'000'000'000;
  auto group = comm::MakeThreadGroup(arguments.learners, {.deadline_ns = kDeadlineNs}).value();
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < results.size(); ++rank) {
    threads.emplace_back([&, rank] {
      TurnTaker me(std::move(group[rank]), turns);
      results[rank] = RunLearner(problem, row, arguments.dtype, device, turns, &me);
      if (!results[rank].status.ok()) me.Abort(results[rank].status.message());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

// The row's figures: the largest of all learners'. The first failure, or gradients that are not those of `expected` (of
// the first row, which it takes), are an error.
Status Examine(const Row& row, std::vector<LearnerResult>& results, std::vector<float>& expected,
               const std::vector<double>& truth, Measured& measured) {
  for (std::size_t rank = 0; rank < results.size(); ++rank) {
    const LearnerResult& one = results[rank];
    if (!one.status.ok()) return one.status;
    measured.host_bytes = std::max(measured.host_bytes, one.host_bytes);
    measured.device_peak_bytes = std::max(measured.device_peak_bytes, one.device_peak_bytes);
    measured.seconds = std::max(measured.seconds, one.seconds);
    if (row.exact || row.reference) continue;
    if (expected.empty()) expected = one.gradient;
    if (std::memcmp(one.gradient.data(), expected.data(), expected.size() * sizeof(float)) != 0) {
      return InternalError("the gradient of learner " + std::to_string(rank) + " differs from that of row none");
    }
  }
  measured.gradient_error = RelativeError(results[0].gradient, truth);
  return OkStatus();
}

double Mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

void PrintHead(const Arguments& a) {
  std::printf("%d x %d, %s, k = %d, T = %d, %d learners\n\n", a.side, a.side, DTypeName(a.dtype), 1 << a.bits,
              a.iterations, a.learners);
  std::printf("%-22s %12s %12s %10s %10s %14s %12s\n", "", "MiB", "paper", "s", "paper", "gradient error",
              "device MiB");
}

void PrintRow(const Row& row, const Measured& m, bool as_in_paper) {
  std::printf("%-22s %12.3f ", row.title, Mib(m.host_bytes));
  const bool has_paper = as_in_paper && row.paper_mib > 0;
  if (has_paper) std::printf("%12.0f %10.4g %10.2f", row.paper_mib, m.seconds, row.paper_seconds);
  if (!has_paper) std::printf("%12s %10.4g %10s", "", m.seconds, "");
  std::printf(" %14.2e %12.1f\n", m.gradient_error, Mib(m.device_peak_bytes));
  std::fflush(stdout);
}

double PeakResidentMib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

Json ToJson(const Arguments& a, const Json& rows) {
  return {{"n", a.side},
          {"bits", a.bits},
          {"iterations", a.iterations},
          {"learners", a.learners},
          {"dtype", DTypeName(a.dtype)},
          {"device", a.device == DeviceKind::kCuda ? "cuda" : "emulated"},
          {"rows", rows},
          {"peak_resident_mib", PeakResidentMib()},
          {"machine", Machine()},
          {"date", Date()}};
}

int Run(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: ablation [--n 4096] [--bits 3] [--iterations 1] [--learners 8] [--dtype bf16|f32] "
                 "[--device emulated|cuda] [--json] [--check]\n");
    return 2;
  }
  const Problem problem = MakeProblem(arguments.side, arguments.bits, arguments.iterations);
  std::vector<double> truth, exact_truth;  // of the paper's chain with its clamp, and of the form without
  {
    ThreadPool pool(0);
    truth = TrueGradient(problem, /*clamp=*/true, pool);
    exact_truth = TrueGradient(problem, /*clamp=*/false, pool);
  }
  const bool as_in_paper = arguments.side == 4096 && arguments.bits == 3 && arguments.iterations == 1 &&
                           arguments.learners == 8 && arguments.dtype == DType::kBF16;
  if (!arguments.json) PrintHead(arguments);
  Json rows = Json::array();
  std::vector<float> expected;
  int missed = 0, failed = 0;
  for (const Row& row : kRows) {
    std::vector<LearnerResult> results = RunRow(problem, row, arguments);
    Measured measured;
    if (Status status = Examine(row, results, expected, row.exact || row.reference ? exact_truth : truth, measured);
        !status.ok()) {
      std::fprintf(stderr, "ablation: %s: %s\n", row.name, status.ToString().c_str());
      rows.push_back({{"name", row.name}, {"error", status.ToString()}});
      ++failed;
      continue;
    }
    for (const std::string& miss :
         {MissedTarget(problem, row, arguments.dtype, arguments.learners, measured.host_bytes),
          MissedAccuracy(row, arguments.dtype, measured.gradient_error)}) {
      if (miss.empty()) continue;
      ++missed;
      std::fprintf(stderr, "ablation: %s: %s\n", row.name, miss.c_str());
    }
    rows.push_back({{"name", row.name},
                    {"host_bytes", measured.host_bytes},
                    {"device_peak_bytes", measured.device_peak_bytes},
                    {"seconds", measured.seconds},
                    {"gradient_error", measured.gradient_error}});
    if (!arguments.json) PrintRow(row, measured, as_in_paper);
  }
  if (arguments.json) std::cout << ToJson(arguments, rows).dump(2) << "\n";
  return failed > 0 || (arguments.check && missed > 0) ? 1 : 0;
}

}  // namespace
}  // namespace tierlib::bench

int main(int argc, char** argv) { return tierlib::bench::Run(argc, argv); }
