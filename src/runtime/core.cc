#include "runtime/core.h"

#include <cmath>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "allocator/cgroup_memory.h"
#include "runtime/host_limits.h"

namespace tierlib::internal {
namespace {

// later - earlier, counter by counter.
Ledger Difference(const Ledger& later, const Ledger& earlier) {
  Ledger d;
  // clang-format off
  constexpr std::uint64_t Ledger::*kCounters[] = {
      &Ledger::packs, &Ledger::unpacks, &Ledger::naive, &Ledger::moved, &Ledger::avoided_identity, &Ledger::avoided_lineage,
      &Ledger::frees_nothing, &Ledger::kept, &Ledger::moved_in, &Ledger::taken_back, &Ledger::replayed, &Ledger::engine_out, &Ledger::engine_in,
      &Ledger::freed, &Ledger::copies_out, &Ledger::copies_in, &Ledger::stalls, &Ledger::reconsidered,
      &Ledger::prefetched, &Ledger::prefetched_in_vain, &Ledger::avoided_recompute,
      &Ledger::recomputed, &Ledger::recomputes};
  // clang-format on
  static_assert(sizeof(Ledger) == sizeof(kCounters) / sizeof(kCounters[0]) * sizeof(std::uint64_t),
                "every counter of Ledger stands in kCounters");
  for (const auto counter : kCounters) d.*counter = later.*counter - earlier.*counter;
  return d;
}

Status CheckOptions(const Options& options) {
  if (options.devices.empty()) return InvalidArgumentError("options.devices is empty: at least one device is needed");
  for (std::size_t i = 0; i < options.devices.size(); ++i) {
    const DeviceOptions& device = options.devices[i];
    for (std::size_t j = 0; j < i; ++j) {
      if (options.devices[j].device == device.device) {
        return InvalidArgumentError("options.devices names device " + std::to_string(device.device) + " twice");
      }
    }
    if (!std::isfinite(device.copy_bytes_per_s) || device.copy_bytes_per_s < 0) {
      return InvalidArgumentError("options.devices[" + std::to_string(i) + "].copy_bytes_per_s is " +
                                  std::to_string(device.copy_bytes_per_s) + ": a rate, or 0, is needed");
    }
    if (device.allocator != nullptr && (!device.allocator->allocate || !device.allocator->deallocate)) {
      return InvalidArgumentError("options.devices[" + std::to_string(i) +
                                  "].allocator needs both allocate and deallocate");
    }
  }
  if (options.hop_limit < 0) {
    return InvalidArgumentError("options.hop_limit is " + std::to_string(options.hop_limit) + ": 0 or more is needed");
  }
  return OkStatus();
}

StatusOr<std::unique_ptr<trace::Recorder>> OpenTrace(const Options& options) {
  trace::RecorderOptions recorder;
  recorder.path = options.trace;
  if (recorder.path.empty()) {
    const char* path = std::getenv("TIERLIB_TRACE");
    if (path != nullptr) recorder.path = path;
  }
  const DeviceOptions& device = options.devices.front();
  const bool shape_only =
      device.kind == DeviceKind::kEmulated && device.emulated.schedule == EmulatedSchedule::kShapeOnly;
  if (recorder.path.empty() || (options.trace.empty() && shape_only)) return std::unique_ptr<trace::Recorder>();
  recorder.rank = options.rank;
  recorder.device = (device.kind == DeviceKind::kCuda ? "cuda:" : "emulated:") + std::to_string(device.device);
  recorder.device_capacity = device.capacity;
  recorder.pinned_capacity = options.pinned_limit;
  return trace::Recorder::Open(std::move(recorder));
}

void ChooseSpareMemory(Options& options) {
  const bool moves_all = options.mode == OffloadMode::kMarshal && options.policy == OffloadPolicy::kAll;
  for (DeviceOptions& device : options.devices) {
    if (device.spare_bytes == DeviceOptions::kAutomatic) device.spare_bytes = moves_all ? device.capacity / 4 : 0;
  }
}

bool HardenedByEnvironment() {
  const char* value = std::getenv("TIERLIB_HARDENED");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace

StatusOr<std::shared_ptr<Core>> Core::Create(Options options, const std::string& system_root) {
  options.hardened = options.hardened || HardenedByEnvironment();
  TIERLIB_RETURN_IF_ERROR(CheckOptions(options));
  ChooseSpareMemory(options);
  TIERLIB_RETURN_IF_ERROR(FitHostLimits(options, CgroupMemoryLeft(system_root)));
  std::shared_ptr<Core> core(new Core(std::move(options)));
  const auto open_trace = [&core] { return OpenTrace(core->options_); };
  TIERLIB_ASSIGN_OR_RETURN(core->store_, SavedStore::Create(core->options_, open_trace));
  return core;
}

void Core::BeginStep(std::uint64_t step) {
  if (store_->fork().in_child()) return;
  step_.store(step, std::memory_order_relaxed);
  const Ledger now = store_->ledger();
  trace::Write(recorder(), trace::Event::kStepBegin, trace::Tag::kNone, 0, 0, step, 0);
  {
    MutexLock lock(mutex_);
    at_begin_ = now;
  }
  try {
    store_->BeginStep(step);
  } catch (const std::bad_alloc&) {  // the step goes unmeasured
  }
}

void Core::BeginBackward() {
  trace::Write(recorder(), trace::Event::kBackwardBegin, trace::Tag::kNone, 0, 0, step(), 0);
  try {
    store_->BeginBackward();
  } catch (const std::bad_alloc&) {  // nothing comes back ahead
  }
}

void Core::EndStep() {
  if (store_->fork().in_child()) return;
  try {
    store_->EndStep();
    store_->SweepLineage();
    store_->TrimToBounds();
  } catch (const std::bad_alloc&) {  // the end of a later step sweeps and trims, or measures
  }
  const Ledger now = store_->ledger();
  trace::Write(recorder(), trace::Event::kStepEnd, trace::Tag::kNone, 0, 0, step(), 0);
  MutexLock lock(mutex_);
  last_step_ = Difference(now, at_begin_);
}

Statistics Core::statistics() const {
  if (store_->fork().in_child()) return {};
  Statistics statistics;
  statistics.total = store_->ledger();
  store_->FillTierStatistics(statistics);
  statistics.shortages = store_->shortages();
  statistics.times = store_->times();
  statistics.peaks = store_->peaks();
  MutexLock lock(mutex_);
  statistics.last_step = last_step_;
  return statistics;
}

}  // namespace tierlib::internal
