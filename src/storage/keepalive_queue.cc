#include "storage/keepalive_queue.h"

#include <time.h>

#include <utility>

#include "base/clock.h"

namespace tierlib {

KeepaliveQueue::~KeepaliveQueue() {
  MutexLock lock(mutex_);
  for (Held& held : held_) Drop(std::move(held.keepalive));
}

void KeepaliveQueue::Drop(Keepalive keepalive) {
  deferred_.Later([keepalive = std::move(keepalive)]() mutable { keepalive.reset(); });
}

void KeepaliveQueue::DropAfter(Keepalive keepalive, absl::Span<const Stream> streams) {
  Held held;
  held.keepalive = std::move(keepalive);
  for (const Stream stream : streams) {
    if (MarkRef mark = events_.MarkOrWait(stream)) held.readers.push_back(std::move(mark));
  }
  if (held.readers.empty()) return Drop(std::move(held.keepalive));
  MutexLock lock(mutex_);
  held_.push_back(std::move(held));
}

void KeepaliveQueue::Poll() {
  MutexLock lock(mutex_);
  while (!held_.empty()) {
    for (const MarkRef& reader : held_.front().readers) {
      const StatusOr<bool> done = device_.EventDone(reader->event);
      if (done.ok() && !*done) return;
    }
    Drop(std::move(held_.front().keepalive));
    held_.pop_front();
  }
}

absl::InlinedVector<MarkRef, 2> KeepaliveQueue::Oldest() const {
  MutexLock lock(mutex_);
  return held_.empty() ? absl::InlinedVector<MarkRef, 2>() : held_.front().readers;
}

Status KeepaliveQueue::Drain(std::int64_t deadline_ns) {
  for (;;) {
    Poll();
    if (empty()) return OkStatus();
    if (NowNs() >= deadline_ns) {
      return Status(StatusCode::kDeadlineExceeded, "the program's memory was still being read at the deadline");
    }
    const timespec pause = {0, 50'000};
    nanosleep(&pause, nullptr);
  }
}

bool KeepaliveQueue::empty() const {
  MutexLock lock(mutex_);
  return held_.empty();
}

}  // namespace tierlib
