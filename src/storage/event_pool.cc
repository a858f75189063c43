#include "storage/event_pool.h"

namespace tierlib {

Mark::~Mark() { pool.Return(event); }

EventPool::~EventPool() {
  MutexLock lock(mutex_);
  for (EventId event : idle_) device_.DestroyEvent(event);
}

StatusOr<MarkRef> EventPool::MarkNow(Stream stream) {
  EventId event = 0;
  {
    MutexLock lock(mutex_);
    if (!idle_.empty()) {
      event = idle_.back();
      idle_.pop_back();
    }
  }
  if (event == 0) {
    TIERLIB_ASSIGN_OR_RETURN(event, device_.CreateEvent());
  }
  auto mark = std::make_shared<const Mark>(*this, event, stream);
  TIERLIB_RETURN_IF_ERROR(device_.RecordEvent(event, stream));
  return MarkRef(std::move(mark));
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

void EventPool::Return(EventId event) {
  MutexLock lock(mutex_);
  idle_.push_back(event);
}

}  // namespace tierlib
