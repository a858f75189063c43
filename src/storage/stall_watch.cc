#include "storage/stall_watch.h"

#include <utility>

namespace tierlib {

MarkRef StallWatch::Before(EventPool& events, Stream stream) {
  if (recorder_ == nullptr) return nullptr;
  StatusOr<MarkRef> mark = events.MarkNow(stream);
  return mark.ok() ? *std::move(mark) : nullptr;
}

void StallWatch::After(MarkRef before, DeviceBackend& device, EventPool& events, StorageId storage, std::uint32_t label,
                       trace::StallCause cause) {
  if (before == nullptr) return;
  StatusOr<MarkRef> mark = events.MarkNow(before->stream);
  if (mark.ok()) open_.push_back({&device, std::move(before), *std::move(mark), storage, label, cause});
}

void StallWatch::Poll() {
  while (!open_.empty()) {
    const Stall& stall = open_.front();
    const StatusOr<bool> done = stall.device->EventDone(stall.after->event);
    if (done.ok() && !*done) return;
    if (done.ok()) {
      const std::int64_t begin = stall.device->EventTimeNs(stall.before->event);
      const std::int64_t end = stall.device->EventTimeNs(stall.after->event);
      const auto cause = static_cast<std::uint16_t>(stall.cause);
      recorder_->WriteAt(begin, trace::Event::kStallBegin, trace::Tag::kReload, cause, stall.label,
                         stall.storage.ToInteger(), stall.after->stream.handle);
      recorder_->WriteAt(end, trace::Event::kStallEnd, trace::Tag::kReload, cause, stall.label,
                         stall.storage.ToInteger(), static_cast<std::uint64_t>(end > begin ? end - begin : 0));
    }
    open_.pop_front();
  }
}

}  // namespace tierlib
