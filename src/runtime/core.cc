#include "runtime/core.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "allocator/cgroup_memory.h"
#include "graph/ledger_sum.h"
#include "runtime/host_limits.h"
#include "runtime/link_ceiling.h"
#include "tierlib/bytes.h"

namespace tierlib::internal {
namespace {

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

bool IsSetInEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && std::string_view(value) == "1";
}

Status InEnvironment(const char* name, const Status& status) {
  return Status(status.code(), std::string(name) + ": " + std::string(status.message()));
}

// What the options leave open, from the environment.
Status ReadTraceOptions(const Options& options, trace::RecorderOptions& recorder) {
  recorder.last_bytes = options.trace_last_bytes;
  recorder.slow_step_ratio = options.trace_slow_step;
  recorder.stacks = options.trace_stacks || IsSetInEnvironment("TIERLIB_TRACE_STACKS");
  recorder.nvtx = IsSetInEnvironment("TIERLIB_TRACE_NVTX");
  constexpr const char* kLast = "TIERLIB_TRACE_LAST";
  const char* last = std::getenv(kLast);
  if (recorder.last_bytes == 0 && last != nullptr && *last != '\0') {
    const StatusOr<std::uint64_t> bytes = ParseBytes(last);
    if (!bytes.ok()) return InEnvironment(kLast, bytes.status());
    recorder.last_bytes = *bytes;
  }
  constexpr const char* kSlow = "TIERLIB_TRACE_SLOW_STEP";
  const char* slow = std::getenv(kSlow);
  if (recorder.slow_step_ratio == 0 && slow != nullptr && *slow != '\0') {
    char* end = nullptr;
    recorder.slow_step_ratio = std::strtod(slow, &end);
    if (*end != '\0') {
      return InEnvironment(kSlow, InvalidArgumentError("\"" + std::string(slow) + "\" is not a number, such as 2.5"));
    }
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
  TIERLIB_RETURN_IF_ERROR(ReadTraceOptions(options, recorder));
  recorder.rank = options.rank;
  for (const DeviceOptions& one : options.devices) {
    recorder.device += recorder.device.empty() ? "" : ", ";
    recorder.device += (one.kind == DeviceKind::kCuda ? "cuda:" : "emulated:") + std::to_string(one.device);
  }
  recorder.device_capacity = device.capacity;
  recorder.pinned_capacity = options.pinned_limit;
  if (options.devices.size() == 1) {  // records do not say which of several devices they are of
    const LinkCeiling ceiling = FindLinkCeiling(device);
    recorder.ceiling_bytes_per_s = {ceiling.out_bytes_per_s, ceiling.in_bytes_per_s};
    recorder.copy_limits = trace::CopyLimits{device.chunk_bytes, device.coalesce_bytes};
  }
  StatusOr<std::unique_ptr<trace::Recorder>> opened = trace::Recorder::Open(std::move(recorder));
  // A disk that is full from the start ends the trace as one that fills later does, and not the program. What the
  // person who asked for the trace has to mend (a path, a permission) stays an error; so does memory that runs out,
  // which comes without a message.
  const Status status = opened.status();
  if (status.code() != StatusCode::kResourceExhausted || status.message().empty()) return opened;
  std::fprintf(stderr, "tierlib: %s; recording stops, the program goes on\n", std::string(status.message()).c_str());
  return std::unique_ptr<trace::Recorder>();
}

void LeaveOutPools(Options& options) {
  for (DeviceOptions& device : options.devices) {
    const bool pooled = device.backing == DeviceBacking::kVirtualMemory || device.backing == DeviceBacking::kMalloc;
    if (pooled) device.backing = DeviceBacking::kMallocAsync;
  }
}

void ChooseSpareMemory(Options& options) {
  const bool moves_all = options.mode == OffloadMode::kMarshal && options.policy == OffloadPolicy::kAll;
  for (DeviceOptions& device : options.devices) {
    if (device.spare_bytes == DeviceOptions::kAutomatic) device.spare_bytes = moves_all ? device.capacity / 4 : 0;
  }
}

}  // namespace

StatusOr<std::shared_ptr<Core>> Core::Create(Options options, const std::string& system_root) {
  options.hardened = options.hardened || IsSetInEnvironment("TIERLIB_HARDENED");
  if (IsSetInEnvironment("TIERLIB_NO_POOLS")) LeaveOutPools(options);
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
  if (store_->fork().in_child()) return;
  try {
    for (const auto& capture : captures_.All()) {
      if (capture->WasBegunHere()) capture->BeginBackward();  // another thread's may be anywhere in its step
    }
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
