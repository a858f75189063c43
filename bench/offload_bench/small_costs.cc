// What the verbs cost by themselves, and the ledger of time with them.
#include <algorithm>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "offload_bench/measure.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

constexpr int kTries = 5;  // of which the fastest counts: the machine has other work too

struct Bench {
  Bench() {
    Options options;
    options.devices[0].capacity = MiB(64);
    options.devices[0].emulated.kernel_threads = 1;
    options.devices[0].spare_bytes = 0;  // what is moved comes back by a copy
    runtime = Runtime::Create(options).value();
    stream = runtime->CreateStream(0, "compute").value();
  }
  std::unique_ptr<Runtime> runtime;
  Stream stream;
};

const Layout kValue = Layout::Contiguous(DType::kF32, {1024});

// Outside steps and within one, in turn.
template <typename Body>
std::pair<double, double> FastestNs(int count, Body&& body) {
  double fastest[2] = {std::numeric_limits<double>::max(), std::numeric_limits<double>::max()};
  for (int attempt = 0; attempt < 2 * kTries; ++attempt) {
    Bench bench;
    const bool in_step = attempt % 2 == 1;
    if (in_step) bench.runtime->BeginStep(1);
    fastest[in_step] = std::min(fastest[in_step], static_cast<double>(body(bench)) / count);
    if (in_step) bench.runtime->EndStep();
  }
  return {fastest[0], fastest[1]};
}

// Another value of a storage that is on the host already, and on the device still.
std::pair<double, double> PackUnpackNs() {
  constexpr int kCount = 100'000;
  return FastestNs(kCount, [](Bench& b) {
    const Allocation x = b.runtime->Allocate(KiB(4), Holds::kTransient, b.stream, "x").value();
    const Saved first = b.runtime->Pack({x.storage, kValue}, nullptr, b.stream, "x").value();
    (void)b.runtime->Drain();
    (void)b.runtime->Synchronize(b.stream);
    const std::int64_t begin_ns = NowNs();
    for (int i = 0; i < kCount; ++i) {
      const Saved saved = b.runtime->Pack({x.storage, kValue}, nullptr, b.stream, "x").value();
      const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
    }
    const std::int64_t ns = NowNs() - begin_ns;
    (void)b.runtime->Retire(x.storage, b.stream);
    return ns;
  });
}

// A value of its own storage each time: a copy out, a copy in and a wait.
std::pair<double, double> MovedValueNs() {
  constexpr int kCount = 5'000;
  return FastestNs(kCount, [](Bench& b) {
    const std::int64_t begin_ns = NowNs();
    for (int i = 0; i < kCount; ++i) {
      const Allocation x = b.runtime->Allocate(KiB(4), Holds::kTransient, b.stream, "x").value();
      const Saved saved = b.runtime->Pack({x.storage, kValue}, nullptr, b.stream, "x").value();
      (void)b.runtime->Retire(x.storage, b.stream);
      const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
    }
    (void)b.runtime->Drain();
    (void)b.runtime->Synchronize(b.stream);
    return NowNs() - begin_ns;
  });
}

double SmallValuesMs(std::uint64_t coalesce_bytes) {
  constexpr int kCount = 4096;
  Options options;
  options.devices[0].capacity = MiB(256);
  options.devices[0].emulated.copy_latency_ns = 5'000;
  options.devices[0].coalesce_bytes = coalesce_bytes;
  std::int64_t fastest_ns = std::numeric_limits<std::int64_t>::max();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
    const Stream stream = runtime->CreateStream(0, "compute").value();
    std::vector<Saved> saved;
    const std::int64_t begin_ns = NowNs();
    for (int i = 0; i < kCount; ++i) {
      const Allocation x = runtime->Allocate(KiB(4), Holds::kTransient, stream, "x").value();
      saved.push_back(runtime->Pack({x.storage, kValue}, nullptr, stream, "x").value());
      (void)runtime->Retire(x.storage, stream);
    }
    (void)runtime->Drain();
    fastest_ns = std::min<std::int64_t>(fastest_ns, NowNs() - begin_ns);
  }
  return static_cast<double>(fastest_ns) / 1e6;
}

}  // namespace

SmallCosts MeasureSmallCosts() {
  SmallCosts costs;
  std::tie(costs.pack_unpack_ns, costs.pack_unpack_step_ns) = PackUnpackNs();
  std::tie(costs.moved_value_ns, costs.moved_value_step_ns) = MovedValueNs();
  costs.small_values_ms = SmallValuesMs(0);
  costs.small_values_gathered_ms = SmallValuesMs(MiB(1));
  return costs;
}

}  // namespace tierlib::bench
