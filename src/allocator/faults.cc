#include "tierlib/faults.h"

#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/random.h"

namespace tierlib {
namespace {

struct PointTraits {
  const char* name;
  StatusCode code;
  bool silent;  // the status has no message, as the contracts of memory have it
};

constexpr std::array<PointTraits, kFaultPointCount> kPoints = {{
    {"reserve", StatusCode::kResourceExhausted, true},
    {"grow", StatusCode::kResourceExhausted, true},
    {"allocate device", StatusCode::kResourceExhausted, true},
    {"allocate pinned", StatusCode::kResourceExhausted, true},
    {"allocate pageable", StatusCode::kResourceExhausted, true},
    {"allocate file", StatusCode::kResourceExhausted, true},
    {"pin", StatusCode::kResourceExhausted, false},
    {"create stream", StatusCode::kResourceExhausted, false},
    {"create event", StatusCode::kResourceExhausted, false},
    {"record event", StatusCode::kUnavailable, false},
    {"wait event", StatusCode::kUnavailable, false},
    {"copy", StatusCode::kUnavailable, false},
    {"launch", StatusCode::kUnavailable, false},
}};

constexpr std::uint32_t kReorderSpread = 8;  // an event is late by fewer queries than this

std::size_t Index(FaultPoint point) { return static_cast<std::size_t>(point); }

FaultPoint PointOf(Tier tier) {
  return static_cast<FaultPoint>(Index(FaultPoint::kAllocateDevice) + static_cast<std::size_t>(tier));
}
static_assert(static_cast<int>(FaultPoint::kAllocateFile) - static_cast<int>(FaultPoint::kAllocateDevice) ==
                  static_cast<int>(Tier::kFile),
              "points of pools are in the order of tiers");

// The `number`th draw under a seed.
std::uint64_t Draw(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t state = seed ^ (number * 0xD1B54A32D192ED03);
  return SplitMix64(&state);
}

thread_local int paused = 0;

Status Failure(FaultPoint point) noexcept {
  const PointTraits& traits = kPoints[Index(point)];
  if (traits.silent) return Status(traits.code);
  try {
    return Status(traits.code, std::string(traits.name) + ": a fault was injected");
  } catch (const std::bad_alloc&) {
    return Status(traits.code);
  }
}

}  // namespace

const char* FaultPointName(FaultPoint point) { return kPoints[Index(point)].name; }

struct Faults::State {
  mutable Mutex mutex;
  FaultPlan plan ABSL_GUARDED_BY(mutex);
  std::uint32_t mask ABSL_GUARDED_BY(mutex) = 0;  // the plan's points
  std::uint64_t all_calls ABSL_GUARDED_BY(mutex) = 0;
  std::array<std::uint64_t, kFaultPointCount> calls ABSL_GUARDED_BY(mutex) = {};
  std::array<std::uint64_t, kFaultPointCount> failures ABSL_GUARDED_BY(mutex) = {};
  std::array<std::atomic<std::int64_t>, kFaultPointCount> outstanding = {};
  std::atomic<std::uint64_t> queries{0};
  std::atomic<bool> delays_events{false};

  // Counts a call; true where the plan has it fail.
  bool Fails(FaultPoint point) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    ++calls[Index(point)];
    if ((mask >> Index(point) & 1u) == 0) return false;
    const std::uint64_t call = ++all_calls;
    if (plan.call != 0 && (plan.persistent ? call >= plan.call : call == plan.call)) return true;
    if (plan.probability <= 0) return false;
    return static_cast<double>(Draw(plan.seed, call) >> 11) * 0x1p-53 < plan.probability;
  }
};

Faults::Faults() : Faults(FaultPlan()) {}
Faults::Faults(FaultPlan plan) : state_(std::make_unique<State>()) { Arm(std::move(plan)); }
Faults::~Faults() = default;

void Faults::Arm(FaultPlan plan) {
  std::uint32_t mask = plan.points.empty() ? ~std::uint32_t{0} : 0;
  for (const FaultPoint point : plan.points) mask |= std::uint32_t{1} << Index(point);
  State& s = *state_;
  MutexLock lock(s.mutex);
  s.delays_events.store(plan.slow_queries > 0 || plan.slow_ns > 0 || plan.reorder);
  s.plan = std::move(plan);
  s.mask = mask;
  s.all_calls = 0;
  s.calls = {};
  s.failures = {};
  s.queries.store(0);
}

void Faults::Disarm() noexcept {
  State& s = *state_;
  MutexLock lock(s.mutex);
  s.delays_events.store(false);
  s.plan.call = 0;
  s.plan.probability = 0;
  s.plan.byte_budget.fill(FaultPlan::kNoBudget);
  s.plan.slow_queries = 0;
  s.plan.slow_ns = 0;
  s.plan.reorder = false;
}

Faults::Paused::Paused() noexcept { ++paused; }
Faults::Paused::~Paused() { --paused; }

std::uint64_t Faults::calls() const {
  MutexLock lock(state_->mutex);
  return state_->all_calls;
}
std::uint64_t Faults::calls(FaultPoint point) const {
  MutexLock lock(state_->mutex);
  return state_->calls[Index(point)];
}
std::uint64_t Faults::failures() const {
  MutexLock lock(state_->mutex);
  std::uint64_t sum = 0;
  for (const std::uint64_t failures : state_->failures) sum += failures;
  return sum;
}
std::uint64_t Faults::failures(FaultPoint point) const {
  MutexLock lock(state_->mutex);
  return state_->failures[Index(point)];
}
std::int64_t Faults::outstanding(FaultPoint point) const { return state_->outstanding[Index(point)].load(); }

Status Faults::Call(FaultPoint point) noexcept {
  if (paused > 0) return OkStatus();
  {
    MutexLock lock(state_->mutex);
    if (!state_->Fails(point)) return OkStatus();
    ++state_->failures[Index(point)];
  }
  return Failure(point);
}

Status Faults::CallAllocate(Tier tier, std::uint64_t live, std::uint64_t bytes) noexcept {
  if (paused > 0) return OkStatus();
  const FaultPoint point = PointOf(tier);
  State& s = *state_;
  MutexLock lock(s.mutex);
  const std::uint64_t budget = s.plan.byte_budget[static_cast<std::size_t>(tier)];
  const bool over = live > budget || bytes > budget - live;
  if (!s.Fails(point) && !over) return OkStatus();
  ++s.failures[Index(point)];
  return Status(StatusCode::kResourceExhausted);
}

std::uint64_t Faults::queries() const { return state_->queries.load(); }
void Faults::Asked() noexcept {
  if (paused == 0) state_->queries.fetch_add(1);
}

void Faults::Made(FaultPoint point) noexcept { state_->outstanding[Index(point)].fetch_add(1); }
void Faults::GaveBack(FaultPoint point) noexcept { state_->outstanding[Index(point)].fetch_sub(1); }

bool Faults::delays_events() const noexcept { return state_->delays_events.load(std::memory_order_relaxed); }

Faults::Lateness Faults::LatenessOf(std::uint64_t recording) const noexcept {
  MutexLock lock(state_->mutex);
  const FaultPlan& plan = state_->plan;
  Lateness late{plan.slow_queries, plan.slow_ns};
  // Numbers of recordings are apart from those of calls.
  if (plan.reorder) late.queries += static_cast<std::uint32_t>(Draw(~plan.seed, recording) % kReorderSpread);
  return late;
}

}  // namespace tierlib
