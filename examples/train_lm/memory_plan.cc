#include "train_lm/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <thread>
#include <vector>

#include "tierlib/comm/communicator.h"
#include "train_lm/learner.h"

namespace train_lm {
namespace {

using tierlib::OffloadMode;
using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

// Learner 0, whose share is the largest, without the others: on a device without bytes there is nothing to exchange.
class PlannedGroup : public tierlib::comm::Communicator {
 public:
  explicit PlannedGroup(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  Status AllGather(const void*, const std::vector<std::uint64_t>&, void*, std::uint64_t) override {
    return tierlib::OkStatus();
  }
  Status AllReduce(const void*, void*, std::uint64_t, tierlib::DType, tierlib::comm::Reduction) override {
    return tierlib::OkStatus();
  }
  Status ReduceScatter(const void*, const std::vector<std::uint64_t>&, tierlib::DType, tierlib::comm::Reduction,
                       void*) override {
    return tierlib::OkStatus();
  }
  Status Broadcast(void*, std::uint64_t, int) override { return tierlib::OkStatus(); }
  Status Barrier() override { return tierlib::OkStatus(); }
  void Abort(std::string_view) override {}

 private:
  const int size_;
};

// Learners share the processors.
int KernelThreads(const Options& options) {
  if (options.threads > 0 || options.learners == 1) return options.threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / options.learners);
}

// The runtime that the options ask for, on an emulated device without bytes, whatever the device.
tierlib::Options WithoutBytes(const Options& options) {
  tierlib::Options runtime = RuntimeOptions(options);
  runtime.devices[0].kind = tierlib::DeviceKind::kEmulated;
  runtime.devices[0].emulated.schedule = tierlib::EmulatedSchedule::kShapeOnly;
  runtime.trace.clear();
  return runtime;
}

// What the plan may count on. Kernels for CUDA take workspaces that it does not see: cuBLAS's 32 MiB, and a few sums.
std::uint64_t PlannedMemory(const Options& options) {
  constexpr std::uint64_t kCudaWorkspaces = tierlib::MiB(64);
  if (options.device != DeviceChoice::kCuda) return options.device_memory;
  return options.device_memory - std::min(options.device_memory / 2, kCudaWorkspaces);
}

// A capacity that nothing fills: as much address space as this process can have for the device and again for the host.
// (Sanitizers leave a process a fraction of what it has otherwise.)
std::uint64_t AmpleCapacity() {
  std::uint64_t capacity = std::uint64_t{1} << 44;
  for (; capacity > tierlib::GiB(64); capacity /= 2) {
    tierlib::Options options;
    options.devices[0].capacity = capacity;
    options.devices[0].emulated.schedule = tierlib::EmulatedSchedule::kShapeOnly;
    options.pinned_limit = capacity;
    options.pageable_limit = 0;
    if (tierlib::Runtime::Create(options).ok()) break;
  }
  return capacity;
}
// The second meets the memory as the first left it, the third as every later one does. With a plan it is the second
// that first follows it; the last three are looked at.
constexpr int kSteps = 3;
constexpr int kPlannedSteps = 6;
constexpr int kSettledSteps = 3;

// What is tried beside the capacities.
struct Plan {
  std::uint64_t target_peak = 0;           // DeviceOptions::target_peak
  tierlib::Statistics* settled = nullptr;  // null, or takes what was counted before the last kSettledSteps
};

// The job in short: every allocation that the whole would make, on a device of this capacity.
StatusOr<tierlib::Statistics> Try(const Job& job, OffloadMode mode, std::uint64_t device_memory,
                                  std::uint64_t host_memory, const Plan& plan = {}) {
  tierlib::Options options = WithoutBytes(job.options);
  options.devices[0].capacity = device_memory;
  options.devices[0].target_peak = plan.target_peak;
  options.pinned_limit = host_memory;
  options.mode = mode;
  TIERLIB_ASSIGN_OR_RETURN(const std::unique_ptr<tierlib::Runtime> runtime, tierlib::Runtime::Create(options));
  PlannedGroup group(job.options.learners);
  const Learner learner(job.options.learners > 1 ? &group : nullptr);
  TIERLIB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(job, *runtime, learner));
  if (!job.options.eval_only) {
    TIERLIB_RETURN_IF_ERROR(trainer->Evaluate(Trainer::Weights::kPlain, Trainer::Extent::kSample).status());
    for (int step = plan.target_peak > 0 ? kPlannedSteps : kSteps; step > 0; --step) {
      if (step == kSettledSteps && plan.settled != nullptr) *plan.settled = runtime->statistics();
      TIERLIB_RETURN_IF_ERROR(trainer->Step().status());
    }
  }
  TIERLIB_RETURN_IF_ERROR(trainer->Evaluate(Trainer::Weights::kCoarse, Trainer::Extent::kSample).status());
  return runtime->statistics();
}

bool IsFull(const Status& status) { return status.code() == StatusCode::kResourceExhausted; }

// The smallest capacity, to within half a percent, with which the job succeeds in `mode` with ample host memory.
StatusOr<std::uint64_t> SmallestDevice(const Job& job, OffloadMode mode) {
  TIERLIB_ASSIGN_OR_RETURN(const tierlib::Statistics ample, Try(job, mode, AmpleCapacity(), AmpleCapacity()));
  std::uint64_t enough = ample.device.extent_peak;  // blocks are placed the same way until the capacity is met
  if (mode == OffloadMode::kOff) return enough;
  std::uint64_t too_small = 0;
  while (enough - too_small > enough / 200) {
    const std::uint64_t middle = too_small + (enough - too_small) / 2;
    const StatusOr<tierlib::Statistics> tried = Try(job, mode, middle, AmpleCapacity());
    if (!tried.ok() && !IsFull(tried.status())) return tried.status();
    (tried.ok() ? enough : too_small) = middle;
  }
  return enough;
}

Status DeviceTooSmall(const Job& job) {
  const OffloadMode mode = job.options.offload == OffloadMode::kOff ? OffloadMode::kMarshal : job.options.offload;
  TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t offloaded, SmallestDevice(job, mode));
  TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t plain, SmallestDevice(job, OffloadMode::kOff));
  return tierlib::ResourceExhaustedError(
      "--device-memory " + tierlib::FormatBytes(job.options.device_memory) + " is not enough: the largest step needs " +
      FormatEnough(offloaded) + " with offload (" + OffloadName(mode) + "), " + FormatEnough(plain) + " without");
}

}  // namespace

tierlib::Options RuntimeOptions(const Options& options) {
  tierlib::Options runtime;
  runtime.devices[0].kind =
      options.device == DeviceChoice::kCuda ? tierlib::DeviceKind::kCuda : tierlib::DeviceKind::kEmulated;
  runtime.devices[0].capacity = options.device_memory;
  runtime.devices[0].emulated.kernel_threads = KernelThreads(options);
  runtime.pinned_limit = options.host_memory;
  runtime.pageable_limit = 0;  // --host-memory bounds all of it
  runtime.mode = options.offload;
  runtime.policy = options.policy;
  runtime.trace = options.trace;
  return runtime;
}

Status CheckAddressSpace(const Options& options) { return tierlib::Runtime::Create(WithoutBytes(options)).status(); }

Status CheckDevice(const Options& options) {
  if (options.device != DeviceChoice::kCuda) return tierlib::OkStatus();
  tierlib::Options runtime = RuntimeOptions(options);
  runtime.pinned_limit = tierlib::MiB(16);
  runtime.trace.clear();
  const Status status = tierlib::Runtime::Create(std::move(runtime)).status();
  if (status.ok()) return status;
  return Status(status.code(), "--device cuda: " + std::string(status.message()));
}

Status CheckLeastMemory(const Options& options, const ModelShape& shape) {
  // Options' ranges and CheckParameterCount keep all of this far below 2^63.
  const std::uint64_t element = tierlib::ElementBytes(options.dtype);
  const std::uint64_t state = options.eval_only ? 0 : 2 * sizeof(float) + (element < 4 ? sizeof(float) : 0);
  const std::uint64_t tokens =
      static_cast<std::uint64_t>(options.LargestShare() * options.context) * 2 * sizeof(std::int32_t);
  const std::uint64_t least = ParameterCount(shape) * (element + state) + tokens;
  constexpr std::uint64_t kSoonMade = tierlib::GiB(1);
  if (least <= options.device_memory || least <= kSoonMade) return tierlib::OkStatus();
  return tierlib::ResourceExhaustedError(
      "--device-memory " + tierlib::FormatBytes(options.device_memory) + " is not enough: " +
      (options.eval_only ? "the weights and a batch" : "the weights, the optimizer's state and a batch") +
      " alone need " + FormatEnough(least));
}

Status CheckMemory(const Job& job) {
  const Options& o = job.options;
  const StatusOr<tierlib::Statistics> asked =
      Try(job, o.offload, PlannedMemory(o), o.host_memory, {o.target_peak.value_or(0)});
  if (asked.ok() || !IsFull(asked.status())) return asked.status();
  const StatusOr<tierlib::Statistics> ample_host = Try(job, o.offload, PlannedMemory(o), AmpleCapacity());
  if (!ample_host.ok()) return IsFull(ample_host.status()) ? DeviceTooSmall(job) : ample_host.status();
  return tierlib::ResourceExhaustedError("--host-memory " + tierlib::FormatBytes(o.host_memory) +
                                         " is not enough: with --device-memory " +
                                         tierlib::FormatBytes(o.device_memory) + " offload (" + OffloadName(o.offload) +
                                         ") holds up to " + FormatEnough(ample_host->pinned.extent_peak) + " there");
}

// What is live does not fill the device without gaps: how much of it a plan may count on is tried.
StatusOr<std::uint64_t> ChooseTargetPeak(const Job& job) {
  const Options& o = job.options;
  if (o.target_peak.has_value()) return *o.target_peak;
  const bool plans = o.offload == OffloadMode::kMarshal && o.policy == tierlib::OffloadPolicy::kFit && !o.eval_only;
  const std::uint64_t memory = PlannedMemory(o);
  if (!plans || memory >= job.bytes_without_offload) return 0;
  std::uint64_t best = 0;
  std::uint64_t fewest = ~std::uint64_t{0};
  for (const std::uint64_t parts : {1, 2, 4, 6}) {
    const std::uint64_t target = memory - memory / 32 * parts;
    tierlib::Statistics before;
    const StatusOr<tierlib::Statistics> tried = Try(job, o.offload, memory, o.host_memory, {target, &before});
    if (!tried.ok() && !IsFull(tried.status())) return tried.status();
    if (!tried.ok()) continue;
    const std::uint64_t evictions = tried->shortages.evictions - before.shortages.evictions;
    if (evictions < fewest) best = target;
    fewest = std::min(fewest, evictions);
    if (fewest == 0) break;  // a lower target moves more
  }
  return best;
}

StatusOr<std::uint64_t> DeviceBytesWithoutOffload(const Job& job) { return SmallestDevice(job, OffloadMode::kOff); }

std::string FormatEnough(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value > 999 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  const int decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
  const double scale = std::pow(10.0, decimals);
  // Reading the text back rounds; one more in the last digit is enough for that.
  for (double digits = std::ceil(value * scale);; digits += 1) {
    char text[40];
    std::snprintf(text, sizeof text, "%.*f %s", decimals, digits / scale, kUnits[unit]);
    const StatusOr<std::uint64_t> read = tierlib::ParseBytes(text);
    if (!read.ok() || *read >= bytes) return text;
  }
}

}  // namespace train_lm
