// Captures: the captures under way on an emulated device, and what their streams were given. Graph: what a capture
// became.
//
// A stream in a capture is a lane of it. Each lane has a clock per lane (how much of that lane's work comes before its
// next work), carried by recordings to the lanes that wait for them, so that EndCapture can tell whether the first lane
// comes after all others.
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_CAPTURES_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_CAPTURES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "allocator/emulated/schedule.h"
#include "allocator/emulated/work.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

// The work of a capture, in the order of the calls. Recordings in it are those of the capture: each launch has its own.
struct Graph {
  struct Item {
    std::size_t lane = 0;
    Work work;
  };
  std::size_t lanes = 0;
  std::vector<Item> items;
  std::array<std::uint64_t, 3> copied = {};  // bytes, by CopyDirection
};

class Captures {
 public:
  // False costs no lock.
  bool any() const { return count_.load(std::memory_order_acquire) > 0; }
  // Whether the stream is in a capture.
  bool Has(StreamHandle stream) const;
  // OK where it is in none; otherwise FailedPrecondition: "SynchronizeStream: stream 3 is in a capture".
  Status Refuse(const char* call, StreamHandle stream) const;

  Status Begin(StreamHandle stream);
  StatusOr<Graph> End(StreamHandle stream);

  // Takes the work where the stream is in a capture, and leaves it as it is elsewhere: false.
  bool Add(StreamHandle stream, Work& work);
  // A new recording that the stream's capture makes; null where it is in none.
  RecordingRef Record(StreamHandle stream);
  // Makes the stream wait for a recording of a capture, or for one made elsewhere. False where no capture has to do
  // with it.
  StatusOr<bool> Wait(StreamHandle stream, const RecordingRef& recording);

 private:
  using Clock = std::vector<std::uint64_t>;  // by lane; a missing one is 0
  struct Lane {
    StreamHandle stream = 0;
    std::uint64_t work = 0;  // pieces, without recordings and waits
    Clock clock;
  };
  struct Capture {
    std::vector<Lane> lanes;  // the first is the stream that began it
    Graph graph;
    absl::flat_hash_map<const Recording*, Clock> recordings;
  };
  struct Place {
    std::uint64_t capture = 0;
    std::size_t lane = 0;
  };
  static void Join(Clock& clock, const Clock& other);

  std::atomic<int> count_{0};
  mutable Mutex mutex_;
  std::uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<std::uint64_t, Capture> captures_ ABSL_GUARDED_BY(mutex_);  // by number
  absl::flat_hash_map<StreamHandle, Place> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_CAPTURES_H_
