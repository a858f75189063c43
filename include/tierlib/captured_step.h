// CapturedStep: a step of a program as a graph of its device (a CUDA graph), captured once and launched many times,
// with the copies that Pack and Unpack made in it.
//
//   tierlib::CaptureOptions memory;
//   memory.device_bytes = tierlib::GiB(4);
//   memory.pinned_bytes = tierlib::GiB(8);
//   std::vector<tierlib::Stream> streams = runtime->BeginCapture(0, memory).value();
//   Step(streams[0]);                          // kernels and verbs
//   tierlib::CapturedStep step = runtime->EndCapture(streams[0]).value();
//   for (const Input& input : inputs) {
//     WriteWhereTheKernelsRead(input, stream);
//     runtime->Launch(step, stream);
//   }
//
// What a capture does is decided once, in it; each launch makes the same copies of the bytes that are there then. Their
// time is not in Statistics::times: to the stream that launches, the step is unknown time, on CUDA compute. Traces do
// not see them either. Storages that kernels alone use must be told to the runtime (Runtime::BeginCapture).
#ifndef TIERLIB_CAPTURED_STEP_H_
#define TIERLIB_CAPTURED_STEP_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "tierlib/statistics.h"

namespace tierlib {

namespace internal {
class Capture;
}  // namespace internal

// The memory of a capture is taken before it begins, in one piece for each tier, and is the graph's until the last
// CapturedStep, Saved and Loaded of it are gone: nobody else uses it between launches.
struct CaptureOptions {
  std::uint64_t device_bytes = 0;  // for what is allocated, comes back or is replayed in the capture; not 0
  std::uint64_t pinned_bytes = 0;  // for what is moved in it: what does not fit stays on the device
  int streams = 1;                 // that the step uses
};

// What one launch does, and what of the capture's memory it needs.
struct CapturedStatistics {
  Ledger launch;                   // booked in Statistics by each launch
  std::uint64_t device_bytes = 0;  // CaptureOptions with these would have sufficed; never 0
  std::uint64_t pinned_bytes = 0;
  HostFallbacks fallbacks;  // of the capture: `refused` values had no room in pinned memory, and stay
};

// A handle; copies share the graph. The last one waits for its launches. May be destroyed after the Runtime, from any
// thread.
class CapturedStep {
 public:
  CapturedStep() = default;
  explicit CapturedStep(std::shared_ptr<internal::Capture> capture) : capture_(std::move(capture)) {}
  bool valid() const { return capture_ != nullptr; }
  // REQUIRES: valid().
  CapturedStatistics statistics() const;
  const std::shared_ptr<internal::Capture>& capture() const { return capture_; }

 private:
  std::shared_ptr<internal::Capture> capture_;
};

}  // namespace tierlib

#endif  // TIERLIB_CAPTURED_STEP_H_
