#include "storage/stall_watch.h"

#include <new>
#include <utility>

namespace tierlib {

MarkRef StallWatch::Before(Stream stream) {
  if (recorder_ == nullptr && !ledger_.in_step()) return nullptr;
  if (IsOwn(stream)) return nullptr;
  StatusOr<MarkRef> mark = events_.MarkNow(stream);
  return mark.ok() ? *std::move(mark) : nullptr;
}

void StallWatch::After(MarkRef before, const Waited& waited, trace::StallCause cause) {
  if (before == nullptr) return;
  StatusOr<MarkRef> mark = events_.MarkNow(before->stream);
  if (!mark.ok()) return;
  try {
    open_.push_back({std::move(before), *std::move(mark), waited.storage, std::string(waited.label), waited.trace_label,
                     cause, ledger_.NewClaim()});
  } catch (const std::bad_alloc&) {  // the wait goes unmeasured
  }
}

void StallWatch::WaitEnds(Stream stream, Stream waited_for) {
  if (!IsOwn(stream)) ++pool_waits_;
  const bool copied = waited_for == out_;
  After(std::exchange(pool_wait_, nullptr), Waited(),
        copied ? trace::StallCause::kCopyOutTail : trace::StallCause::kAllocation);
}

void StallWatch::Poll() {
  while (!open_.empty()) {
    const StatusOr<bool> done = device_.EventDone(open_.front().after->event);
    if (done.ok() && !*done) return;
    if (done.ok()) Book(open_.front());
    open_.pop_front();
  }
}

void StallWatch::Book(const Stall& stall) {
  const Interval waited = {device_.EventTimeNs(stall.before->event), device_.EventTimeNs(stall.after->event)};
  if (stall.claim != nullptr) ledger_.AddStall(stall.after->stream, stall.cause, waited, stall.label);
  if (recorder_ == nullptr) return;
  const auto cause = static_cast<std::uint16_t>(stall.cause);
  recorder_->WriteAt(waited.begin, trace::Event::kStallBegin, trace::Tag::kReload, cause, stall.trace_label,
                     stall.storage.ToInteger(), stall.after->stream.handle);
  recorder_->WriteAt(waited.end, trace::Event::kStallEnd, trace::Tag::kReload, cause, stall.trace_label,
                     stall.storage.ToInteger(), waited.length());
}

}  // namespace tierlib
