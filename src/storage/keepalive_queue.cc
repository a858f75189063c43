#include "storage/keepalive_queue.h"

#include <time.h>

#include <new>
#include <utility>

#include "base/clock.h"

namespace tierlib {

KeepaliveQueue::~KeepaliveQueue() {
  MutexLock lock(mutex_);
  while (oldest_ != nullptr) DropOldest();
}

void KeepaliveQueue::DropOldest() {
  std::unique_ptr<Held> held = std::move(oldest_);
  oldest_ = std::move(held->next_);
  if (oldest_ == nullptr) newest_ = nullptr;
  held->readers_.clear();
  deferred_.Later(std::move(held));
}

void KeepaliveQueue::DropAfter(std::unique_ptr<Held> held, absl::Span<const Stream> streams) noexcept {
  for (const Stream stream : streams) {
    MarkRef mark = events_.MarkOrWait(stream);
    if (mark == nullptr) continue;
    try {
      held->readers_.push_back(std::move(mark));
    } catch (const std::bad_alloc&) {
      (void)device_.SynchronizeStream(stream);
    }
  }
  if (held->readers_.empty()) return deferred_.Later(std::move(held));
  MutexLock lock(mutex_);
  Held* const added = held.get();
  (newest_ == nullptr ? oldest_ : newest_->next_) = std::move(held);
  newest_ = added;
}

void KeepaliveQueue::Poll() {
  MutexLock lock(mutex_);
  while (oldest_ != nullptr) {
    for (const MarkRef& reader : oldest_->readers_) {
      const StatusOr<bool> done = device_.EventDone(reader->event);
      if (done.ok() && !*done) return;
    }
    DropOldest();
  }
}

absl::InlinedVector<MarkRef, 2> KeepaliveQueue::Oldest() const {
  MutexLock lock(mutex_);
  return oldest_ == nullptr ? absl::InlinedVector<MarkRef, 2>() : oldest_->readers_;
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
  return oldest_ == nullptr;
}

}  // namespace tierlib
