// What a trace costs: an event that is recorded, beside the clock that it is stamped with, and one where no trace is
// on; how many bytes an event takes in the file; and with a trace of a program's, what share of its steps that was.
//
// usage: trace_bench [--gates] [--trace FILE] [Google Benchmark's options]
//   --gates       exit code 1 where an event takes more than its clock and 25 ns, one that is switched off more than
//                 1 ns, a recorded event more than 16 bytes, or (with --trace) recording more than 0.5 % of a step
//   --trace FILE  a trace: its events a step, times what an event costs here, by its median step
// Times are of processors, not of the clock on the wall: of the recording thread, which seals for itself where it
// writes events faster than the sealing thread can take them, as here; and of a step's share, of both threads.
#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "gates.h"
#include "trace/reader.h"
#include "trace/recorder.h"
#include "trace/tick_clock.h"

namespace tierlib::trace {
namespace {

constexpr char kTicks[] = "clock/ticks";
constexpr char kClockGettime[] = "clock/clock_gettime";
constexpr char kOff[] = "event/off";
constexpr char kRecorded[] = "event/recorded";
constexpr char kTimed[] = "event/recorded_with_a_time";

// A file in the folder for temporary files, gone with the object.
class TemporaryTrace {
 public:
  TemporaryTrace() {
    path_ = (std::filesystem::temp_directory_path() / ("trace_bench." + std::to_string(getpid()) + ".tlt")).string();
    RecorderOptions options;
    options.path = path_;
    options.last_bytes = std::uint64_t{64} << 20;  // so that a long run fills no disk
    recorder_ = Recorder::Open(std::move(options)).value();
  }
  ~TemporaryTrace() {
    recorder_.reset();
    unlink(path_.c_str());
  }
  Recorder* recorder() { return recorder_.get(); }
  std::uint64_t Close() {
    recorder_.reset();
    return std::filesystem::file_size(path_);
  }

 private:
  std::string path_;
  std::unique_ptr<Recorder> recorder_;
};

void ReadTicksOnly(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ReadTicks());
}

void ReadClockOnly(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(NowNs());
}

void WriteEvents(benchmark::State& state, Recorder* recorder) {
  std::uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(recorder);
    Write(recorder, Event::kPoolAllocate, Tag::kActivation, 0, 1, i << 12, 4096);
    ++i;
  }
}

void EventOff(benchmark::State& state) { WriteEvents(state, nullptr); }

void EventRecorded(benchmark::State& state) {
  TemporaryTrace trace;
  WriteEvents(state, trace.recorder());
}

void EventWithATime(benchmark::State& state) {
  TemporaryTrace trace;
  std::int64_t i = 0;
  for (auto _ : state) {
    trace.recorder()->WriteAt(i, Event::kTransferEnd, Tag::kSaved, 0, 1, 7, 4096);
    ++i;
  }
}

std::int64_t ProcessorNs() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

struct WholeCost {
  double bytes = 0;  // of the file
  double ns = 0;     // of all processors: recording, sealing and the end of the file
};

// Of each of a million events as a training step has them.
WholeCost CostOfAnEvent() {
  constexpr std::uint64_t kEvents = 1'000'000;
  constexpr Event kEventsOfASave[] = {Event::kPoolAllocate,  Event::kPack,        Event::kDecision, Event::kTransferAsk,
                                      Event::kTransferBegin, Event::kTransferEnd, Event::kUnpack,   Event::kPoolFree};
  std::vector<std::uint32_t> numbers(1 << 16);
  Random random(1);
  for (std::uint32_t& number : numbers) number = random.NextU32();
  TemporaryTrace trace;
  const std::int64_t begin_ns = ProcessorNs();
  for (std::uint64_t i = 0; i < kEvents; ++i) {
    const std::uint32_t number = numbers[i % numbers.size()];
    const std::uint64_t storage = i / 8 + number % 64;
    trace.recorder()->Write(kEventsOfASave[i % 8], Tag::kSaved, static_cast<std::uint16_t>(number >> 28 & 1),
                            static_cast<std::uint32_t>(storage % 300), storage, (1 + (number >> 8) % 256) << 12);
  }
  WholeCost cost;
  cost.bytes = static_cast<double>(trace.Close()) / kEvents;
  cost.ns = static_cast<double>(ProcessorNs() - begin_ns) / kEvents;
  return cost;
}

// Events a step and the median step of a trace; what recording them costs of it.
bool SayShareOfSteps(const std::string& path, double event_ns, bench::Gates& gates) {
  const StatusOr<Trace> trace = ReadTraceFile(path);
  if (!trace.ok()) {
    std::fprintf(stderr, "trace_bench: %s\n", std::string(trace.status().message()).c_str());
    return false;
  }
  std::vector<double> took;
  std::uint64_t events = 0;
  std::int64_t begin_ns = 0;
  bool within = false;
  for (const Record& record : trace->records) {
    if (record.event == Event::kStepBegin) begin_ns = record.time_ns;
    within = within || record.event == Event::kStepBegin;
    events += within ? 1 : 0;
    if (record.event != Event::kStepEnd || !within) continue;
    took.push_back(static_cast<double>(record.time_ns - begin_ns));
    within = false;
  }
  if (took.empty()) {
    std::fprintf(stderr, "trace_bench: %s has no whole step\n", path.c_str());
    return false;
  }
  std::nth_element(took.begin(), took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2), took.end());
  const double step_ns = took[took.size() / 2];
  const double events_a_step = static_cast<double>(events) / static_cast<double>(took.size());
  std::printf("%s: %zu steps of %.3g ms, %.0f events each\n", path.c_str(), took.size(), step_ns / 1e6, events_a_step);
  gates.Say("recording and sealing, of a step", 100 * events_a_step * event_ns / step_ns, "%", 0.5);
  return true;
}

int Run(bool needs_gates, const std::string& trace) {
  bench::LowestTimes times;
  benchmark::RunSpecifiedBenchmarks(&times);
  bench::Gates gates;
  const StartOfTicks start = CalibrateTicks();
  const char* clock = start.usable ? kTicks : kClockGettime;
  if (times.Has(kRecorded) && times.Has(clock)) {
    gates.Say("an event, beyond the clock that it is stamped with", times.ns(kRecorded) - times.ns(clock), "ns", 25);
  }
  if (times.Has(kOff)) gates.Say("an event where no trace is on", times.ns(kOff), "ns", 1);
  const WholeCost cost = CostOfAnEvent();
  gates.Say("an event in the file", cost.bytes, "B", 16);
  std::printf("%-60s %8.3g ns\n", "an event, recording and sealing together", cost.ns);
  if (!trace.empty() && !SayShareOfSteps(trace, cost.ns, gates)) return 3;
  return needs_gates && !gates.kept ? 1 : 0;
}

}  // namespace
}  // namespace tierlib::trace

int main(int argc, char** argv) {
  using namespace tierlib::trace;  // NOLINT
  bool needs_gates = false;
  std::string trace;
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--gates") == 0) {
      needs_gates = true;
    } else if (std::strcmp(argv[i], "--trace") == 0 && i + 1 < argc) {
      trace = argv[++i];
    } else {
      std::fprintf(stderr, "trace_bench: unknown argument %s; --gates and --trace FILE are known\n", argv[i]);
      return 2;
    }
  }
  constexpr int kRepetitions = 5;
  benchmark::RegisterBenchmark(kTicks, ReadTicksOnly)->Repetitions(kRepetitions);
  benchmark::RegisterBenchmark(kClockGettime, ReadClockOnly)->Repetitions(kRepetitions);
  benchmark::RegisterBenchmark(kOff, EventOff)->Repetitions(kRepetitions);
  benchmark::RegisterBenchmark(kRecorded, EventRecorded)->Repetitions(kRepetitions);
  benchmark::RegisterBenchmark(kTimed, EventWithATime)->Repetitions(kRepetitions);
  return Run(needs_gates, trace);
}
