#include "storage/event_pool.h"

#include <new>

namespace tierlib {

Mark::~Mark() { pool.Return(event); }

EventPool::~EventPool() {
  MutexLock lock(mutex_);
  for (EventId event : idle_) device_.DestroyEvent(event);
}

StatusOr<EventId> EventPool::Take() {
  {
    MutexLock lock(mutex_);
    if (!idle_.empty()) {
      const EventId event = idle_.back();
      idle_.pop_back();
      return event;
    }
    try {
      if (idle_.capacity() <= made_) idle_.reserve(2 * made_ + 8);
    } catch (const std::bad_alloc&) {
      return Status(StatusCode::kResourceExhausted);
    }
    ++made_;
  }
  StatusOr<EventId> event = device_.CreateEvent();
  if (!event.ok()) {
    MutexLock lock(mutex_);
    --made_;
  }
  return event;
}

StatusOr<MarkRef> EventPool::MarkNow(Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(const EventId event, Take());
  MarkRef mark;
  try {
    mark = std::make_shared<const Mark>(*this, event, stream);
  } catch (const std::bad_alloc&) {
    Return(event);
    return Status(StatusCode::kResourceExhausted);
  }
  TIERLIB_RETURN_IF_ERROR(device_.RecordEvent(event, stream));
  return mark;
}

MarkRef EventPool::MarkOrWait(Stream stream) {
  StatusOr<MarkRef> mark = MarkNow(stream);
  if (mark.ok()) return *std::move(mark);
  if (mark.status().code() != StatusCode::kNotFound) (void)device_.SynchronizeStream(stream);
  return nullptr;
}

Status EventPool::WaitOn(Stream stream, const Mark& mark) {
  if (stream == mark.stream) return OkStatus();
  return device_.WaitEvent(stream, mark.event);
}

void EventPool::Order(Stream later, Stream earlier) {
  const MarkRef mark = MarkOrWait(earlier);
  if (mark != nullptr && !WaitOn(later, *mark).ok()) (void)device_.SynchronizeStream(earlier);
}

void EventPool::Return(EventId event) {
  MutexLock lock(mutex_);
  idle_.push_back(event);
}

}  // namespace tierlib
