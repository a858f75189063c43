// EventClock: when CUDA events completed, on tierlib's clock (base/clock.h).
//
// CUDA tells only the time between two events. So one event, the anchor, is recorded on an idle stream between two
// readings of the host's clock, and others are placed relative to it. Accuracy: half the time that recording and seeing
// the anchor takes (about 10 us on an idle device; the shortest of a few tries is used), plus CUDA's resolution of
// about 0.5 us. CUDA gives distances in float32 milliseconds, which are coarser than that beyond a few seconds, so the
// anchor is renewed.
//
// Thread-safety: TimeNs locks. REQUIRES everywhere, the destructor included: the device is the thread's current one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_EVENT_CLOCK_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_EVENT_CLOCK_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class EventClock {
 public:
  static StatusOr<std::unique_ptr<EventClock>> Create();
  ~EventClock();
  EventClock(const EventClock&) = delete;
  EventClock& operator=(const EventClock&) = delete;

  // REQUIRES: the event was made with timing on, was recorded and has completed. Blocks for some tens of microseconds
  // where the anchor is due for renewal.
  StatusOr<std::int64_t> TimeNs(cudaEvent_t event);

 private:
  EventClock() = default;
  Status Renew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t anchor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  cudaEvent_t candidate_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::int64_t anchor_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_EVENT_CLOCK_H_
