// KeepaliveQueue: references on the program's memory that the device may still read.
//
// Thread-safety: all functions may be called from any thread.
#ifndef TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_
#define TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_

#include <cstdint>
#include <deque>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "storage/deferred.h"
#include "storage/event_pool.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "tierlib/stream.h"

namespace tierlib {

class KeepaliveQueue {
 public:
  // REQUIRES: all three outlive the queue.
  KeepaliveQueue(DeviceBackend& device, EventPool& events, Deferred& deferred)
      : device_(device), events_(events), deferred_(deferred) {}
  // Lets go of what is left. REQUIRES: the device's work has ended.
  ~KeepaliveQueue();

  // Drops `keepalive`, through the deferred work, once a Poll finds that the work enqueued so far on every one of
  // `streams` has ended; without streams at once. References go in the order in which they came.
  void DropAfter(Keepalive keepalive, absl::Span<const Stream> streams);
  void Poll();
  // What the next reference to go still waits for: it goes with the Poll after these. Empty where nothing is left.
  absl::InlinedVector<MarkRef, 2> Oldest() const;
  // Polls until nothing is left, or until the clock reaches `deadline_ns` (DeadlineExceeded).
  Status Drain(std::int64_t deadline_ns);

 private:
  struct Held {
    Keepalive keepalive;
    absl::InlinedVector<MarkRef, 2> readers;
  };
  void Drop(Keepalive keepalive);
  bool empty() const;

  DeviceBackend& device_;
  EventPool& events_;
  Deferred& deferred_;
  mutable Mutex mutex_;
  std::deque<Held> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_
