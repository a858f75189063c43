#include "storage/stall_watch.h"

#include <new>
#include <utility>

#include "base/clock.h"

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

std::int64_t StallWatch::HostBefore() const { return recorder_ == nullptr && !ledger_.in_step() ? 0 : NowNs(); }

void StallWatch::HostAfter(std::int64_t before_ns, const Waited& waited, trace::StallCause cause, Stream stream,
                           std::uint64_t least_ns) {
  if (before_ns == 0) return;
  const Interval wait = {before_ns, NowNs()};
  if (wait.length() < least_ns) return;
  ledger_.AddHostWait(cause, wait.length(), waited.label);
  Record(wait, waited.storage, waited.trace_label, cause, stream);
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
  Record(waited, stall.storage, stall.trace_label, stall.cause, stall.after->stream);
}

void StallWatch::Record(Interval waited, StorageId storage, std::uint32_t trace_label, trace::StallCause cause,
                        Stream stream) {
  if (recorder_ == nullptr) return;
  const auto detail = static_cast<std::uint16_t>(cause);
  recorder_->WriteAt(waited.begin, trace::Event::kStallBegin, trace::Tag::kReload, detail, trace_label,
                     storage.ToInteger(), stream.handle);
  recorder_->WriteAt(waited.end, trace::Event::kStallEnd, trace::Tag::kReload, detail, trace_label, storage.ToInteger(),
                     waited.length());
}

}  // namespace tierlib
