// Work: what a stream of an emulated device has in its queue. Recording: one completion that others can wait for.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_WORK_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_WORK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "allocator/device_backend.h"

namespace tierlib::emulated {

// Completes once. Every RecordEvent makes a new one, so a wait that was enqueued for an earlier recording of the same
// event keeps waiting for that one.
//
// Thread-safety: one thread completes, any thread may ask or wait.
class Recording {
 public:
  // `capture`: the number of the capture that it is made in; 0: none. One of a capture never completes: each launch of
  // its graph makes others.
  explicit Recording(std::uint64_t capture = 0) : capture_(capture) {}
  std::uint64_t capture() const { return capture_; }
  // `kernel_ns`: for how long kernels of the stream have run so far.
  void Complete(std::int64_t kernel_ns = 0);
  bool done() const { return done_.load(std::memory_order_acquire) != 0; }
  // Blocks the calling thread: first it spins for a moment, as most waits are short.
  void Wait() const;
  std::int64_t time_ns() const { return done() ? time_ns_ : 0; }
  std::int64_t kernel_ns() const { return done() ? kernel_ns_ : 0; }

 private:
  const std::uint64_t capture_;
  std::atomic<int> done_{0};  // an int, for which waiting needs no table of the C++ library
  std::int64_t time_ns_ = 0;  // both written before done_
  std::int64_t kernel_ns_ = 0;
};
using RecordingRef = std::shared_ptr<Recording>;

struct CopyWork {
  absl::InlinedVector<CopyRun, 2> runs;
  CopyDirection direction = CopyDirection::kDeviceToDevice;
  std::size_t bytes = 0;  // sum over runs
};

struct FillWork {
  void* base = nullptr;
  std::size_t bytes = 0;
  std::uint8_t value = 0;
};

struct RecordWork {
  RecordingRef recording;
};

struct WaitWork {
  RecordingRef recording;
};

using Work = std::variant<HostKernel, CopyWork, FillWork, RecordWork, WaitWork>;

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_WORK_H_
