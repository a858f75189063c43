#include "lagging_device.h"

namespace tierlib::trace_replay {

Status LaggingDevice::RecordEvent(EventId event, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(device_->RecordEvent(event, stream));
  if (lag_ > 0) pending_.insert_or_assign(event, Recording{now_, ++recorded_});
  return OkStatus();
}

StatusOr<bool> LaggingDevice::EventDone(EventId event) {
  if (const auto found = pending_.find(event); found != pending_.end()) {
    if (now_ - found->second.operation < lag_ && found->second.number > caught_up_) return false;
    pending_.erase(found);
  }
  return device_->EventDone(event);
}

Status LaggingDevice::SynchronizeEvent(EventId event) {
  if (const auto found = pending_.find(event); found != pending_.end()) CatchUpWith(found->second.number);
  return device_->SynchronizeEvent(event);
}

}  // namespace tierlib::trace_replay
