#include "allocator/emulated/engines.h"

#include <time.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "base/clock.h"

namespace tierlib::emulated {
namespace {

// A sleeping thread wakes late by up to about this much; the rest is spun.
constexpr std::int64_t kWakeUpNs = 80'000;

void SleepUntil(std::int64_t deadline_ns) {
  const std::int64_t wake_ns = deadline_ns - kWakeUpNs;
  if (wake_ns > NowNs()) {
    timespec wake;
    wake.tv_sec = static_cast<time_t>(wake_ns / 1'000'000'000);
    wake.tv_nsec = static_cast<long>(wake_ns % 1'000'000'000);  // NOLINT: the type of the field
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, nullptr) != 0) {
    }
  }
  while (NowNs() < deadline_ns) std::this_thread::yield();
}

}  // namespace

void MoveBytes(const CopyWork& copy) {
  for (const CopyRun& run : copy.runs) {
    if (run.bytes > 0) std::memcpy(run.destination, run.source, run.bytes);
  }
}

std::int64_t ComputeEngine::Run(HostKernel& kernel) {
  MutexLock lock(turn_);
  const std::int64_t begin_ns = NowNs();
  KernelScope scope;
  KernelContext context{pool_};
  kernel.run(context);
  return NowNs() - begin_ns;
}

void ComputeEngine::Run(const CopyWork& copy) {
  MutexLock lock(turn_);
  MoveBytes(copy);
}

void ComputeEngine::Run(const FillWork& fill) {
  MutexLock lock(turn_);
  if (fill.bytes > 0) std::memset(fill.base, fill.value, fill.bytes);
}

void CopyEngine::Run(const CopyWork& copy) {
  MutexLock lock(turn_);
  const std::int64_t start_ns = NowNs();
  MoveBytes(copy);
  const double transfer_ns = bytes_per_s_ > 0 ? static_cast<double>(copy.bytes) * 1e9 / bytes_per_s_ : 0;
  const std::uint64_t late_ns = latency_ns_ + (jitter_ns_ > 0 ? random_.UniformInt(jitter_ns_ + 1) : 0);
  if (transfer_ns > 0 || late_ns > 0) {
    SleepUntil(start_ns + static_cast<std::int64_t>(late_ns) + std::llround(transfer_ns));
  }
}

void Engines::Run(const CopyWork& copy) {
  switch (copy.direction) {
    case CopyDirection::kDeviceToHost: return out.Run(copy);
    case CopyDirection::kHostToDevice: return in.Run(copy);
    case CopyDirection::kDeviceToDevice: return compute.Run(copy);
  }
}

}  // namespace tierlib::emulated
