#include "allocator/cuda/event_clock.h"

#include <cmath>
#include <limits>
#include <utility>

#include "allocator/cuda/cuda_error.h"
#include "base/clock.h"

namespace tierlib {
namespace {

constexpr std::int64_t kRenewAfterNs = 4'000'000'000;  // float32 milliseconds are exact to 0.25 us up to 4.1 s
constexpr int kTries = 4;

}  // namespace

StatusOr<std::unique_ptr<EventClock>> EventClock::Create() {
  std::unique_ptr<EventClock> clock(new EventClock);
  MutexLock lock(clock->mutex_);
  TIERLIB_RETURN_IF_ERROR(
      CudaStatus(cudaStreamCreateWithFlags(&clock->stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"));
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventCreate(&clock->anchor_), "cudaEventCreate"));
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventCreate(&clock->candidate_), "cudaEventCreate"));
  TIERLIB_RETURN_IF_ERROR(clock->Renew());
  return clock;
}

EventClock::~EventClock() {
  MutexLock lock(mutex_);
  if (anchor_ != nullptr) (void)cudaEventDestroy(anchor_);
  if (candidate_ != nullptr) (void)cudaEventDestroy(candidate_);
  if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
}

Status EventClock::Renew() {
  std::int64_t shortest_ns = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < kTries; ++i) {
    const std::int64_t before_ns = NowNs();
    TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventRecord(candidate_, stream_), "cudaEventRecord"));
    TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventSynchronize(candidate_), "cudaEventSynchronize"));
    const std::int64_t took_ns = NowNs() - before_ns;
    if (took_ns >= shortest_ns) continue;
    shortest_ns = took_ns;
    anchor_ns_ = before_ns + took_ns / 2;
    std::swap(anchor_, candidate_);
  }
  return OkStatus();
}

StatusOr<std::int64_t> EventClock::TimeNs(cudaEvent_t event) {
  MutexLock lock(mutex_);
  if (NowNs() - anchor_ns_ > kRenewAfterNs) TIERLIB_RETURN_IF_ERROR(Renew());
  float after_ms = 0;  // negative where the event completed before the anchor
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventElapsedTime(&after_ms, anchor_, event), "cudaEventElapsedTime"));
  return anchor_ns_ + static_cast<std::int64_t>(std::llround(static_cast<double>(after_ms) * 1e6));
}

}  // namespace tierlib
