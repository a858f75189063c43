// What Runtime::statistics() costs, with few and many storages.
//
//   live:N        N live storages of 4 KiB, one behind the other
//   scattered:N   N live storages with a hole behind each, whose work has ended
//   saved:N       N values that were moved to the host, with a hole behind each there
//
// usage: statistics_bench [--gates] [Google Benchmark's options]
//   --gates   exit code 1 where it takes more than 10 us with 10,000 storages, or more than twice of what it takes with
//             100, live or scattered
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gates.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kBytes = KiB(4);
constexpr int kFew = 100;
constexpr int kMany = 10'000;

enum class Kind { kLive, kScattered, kSaved };

std::string NameOf(Kind kind, int count) {
  const char* const names[] = {"live", "scattered", "saved"};
  return std::string("statistics/") + names[static_cast<int>(kind)] + ":" + std::to_string(count);
}

// A runtime with `count` storages or values of the kind.
class Filled {
 public:
  Filled(Kind kind, int count) {
    Options options;
    options.devices[0].capacity = GiB(1);
    options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
    options.devices[0].spare_bytes = 0;
    runtime = Runtime::Create(options).value();
    stream_ = runtime->CreateStream(0, "bench").value();
    const Layout layout = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(kBytes)});
    std::vector<StorageId> between;
    std::vector<Saved> saved_between;
    for (int i = 0; i < count; ++i) {
      const StorageId storage = Make();
      if (kind == Kind::kScattered) between.push_back(Make());
      if (kind != Kind::kSaved) continue;
      saved_.push_back(runtime->Pack({storage, layout}, nullptr, stream_, "saved").value());
      Retire(storage);
      const StorageId other = Make();
      saved_between.push_back(runtime->Pack({other, layout}, nullptr, stream_, "saved").value());
      Retire(other);
    }
    for (const StorageId storage : between) Retire(storage);
    saved_between.clear();
    (void)runtime->Synchronize(stream_);
    (void)runtime->Drain();
  }

  std::unique_ptr<Runtime> runtime;

 private:
  StorageId Make() { return runtime->Allocate(kBytes, Holds::kTransient, stream_, "x").value().storage; }
  void Retire(StorageId storage) { (void)runtime->Retire(storage, stream_); }

  Stream stream_;
  std::vector<Saved> saved_;
};

void TakeStatistics(benchmark::State& state, Kind kind, int count) {
  const Filled filled(kind, count);
  for (auto _ : state) benchmark::DoNotOptimize(filled.runtime->statistics());
  const Statistics now = filled.runtime->statistics();
  const TierStatistics& tier = kind == Kind::kSaved ? now.pinned : now.device;
  if (tier.live != static_cast<std::uint64_t>(count) * kBytes) state.SkipWithError("the storages are not there");
}

int Run(bool needs_gates) {
  for (const Kind kind : {Kind::kLive, Kind::kScattered, Kind::kSaved}) {
    for (const int count : {kFew, kMany}) {
      benchmark::RegisterBenchmark(NameOf(kind, count).c_str(), TakeStatistics, kind, count)->Repetitions(3);
    }
  }
  bench::LowestTimes times;
  benchmark::RunSpecifiedBenchmarks(&times);
  bench::Gates gates;
  for (const Kind kind : {Kind::kLive, Kind::kScattered, Kind::kSaved}) {
    const std::string many = NameOf(kind, kMany);
    const std::string few = NameOf(kind, kFew);
    if (!times.Has(many) || !times.Has(few)) continue;
    gates.Say(many.c_str(), times.ns(many) / 1000, "us", 10);
    gates.Say((many + ", of " + few).c_str(), times.ns(many) / times.ns(few), "x", 2);
  }
  return needs_gates && !gates.kept ? 1 : 0;
}

}  // namespace
}  // namespace tierlib

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bool needs_gates = argc == 2 && std::strcmp(argv[1], "--gates") == 0;
  if (argc > 1 && !needs_gates) {
    std::fprintf(stderr, "statistics_bench: unknown argument %s; --gates is known\n", argv[1]);
    return 2;
  }
  return tierlib::Run(needs_gates);
}
