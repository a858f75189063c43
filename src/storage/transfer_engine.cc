#include "storage/transfer_engine.h"

#include <time.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/clock.h"
#include "base/failpoint.h"

namespace tierlib {
namespace {

Failpoint copy_is_refused("transfer.enqueue");
Failpoint copy_fails("transfer.end");

}  // namespace

TransferEngine::~TransferEngine() {
  (void)Drain(NowNs() + 1'000'000'000);
  for (const std::optional<Stream>& stream : {out_, in_}) {
    if (stream) (void)device_.DestroyStream(*stream);
  }
}

StatusOr<std::unique_ptr<TransferEngine>> TransferEngine::Create(DeviceBackend& device, EventPool& events,
                                                                 trace::Recorder* recorder, TimeLedger* time) {
  std::unique_ptr<TransferEngine> engine(new TransferEngine(device, events, recorder, time));
  TIERLIB_ASSIGN_OR_RETURN(engine->out_, device.CreateStream("copy out"));
  TIERLIB_ASSIGN_OR_RETURN(engine->in_, device.CreateStream("copy in"));
  return engine;
}

StatusOr<TransferRef> TransferEngine::CopyOut(absl::Span<const CopyRun> runs, const Mark& produced, StorageId storage,
                                              std::shared_ptr<void> keeps) {
  TIERLIB_RETURN_IF_ERROR(events_.WaitOn(*out_, produced));
  return Enqueue(runs, CopyDirection::kDeviceToHost, *out_, storage, std::move(keeps));
}

StatusOr<TransferRef> TransferEngine::CopyIn(absl::Span<const CopyRun> runs, absl::Span<const TransferRef> sources,
                                             StorageId storage, std::shared_ptr<void> keeps) {
  for (const TransferRef& source : sources) {
    TIERLIB_RETURN_IF_ERROR(WaitOn(*in_, source).status());
  }
  return Enqueue(runs, CopyDirection::kHostToDevice, *in_, storage, std::move(keeps));
}

StatusOr<TransferRef> TransferEngine::Enqueue(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream,
                                              StorageId storage, std::shared_ptr<void> keeps) {
  auto transfer = std::make_shared<Transfer>();
  transfer->number = next_number_++;
  transfer->direction = direction;
  transfer->storage = storage;
  for (const CopyRun& run : runs) transfer->bytes += run.bytes;
  transfer->keeps = std::move(keeps);
  MarkBegin(*transfer, stream);
  if (copy_is_refused.Fails()) return UnavailableError("the copy was refused by a failpoint");
  auto& queue = in_flight_[direction == CopyDirection::kDeviceToHost ? 0 : 1];
  queue.push_back(transfer);  // before the copy: what may throw comes before what memory is needed for
  Status copied(StatusCode::kResourceExhausted);
  try {
    copied = device_.Copy(runs, direction, stream);
  } catch (const std::bad_alloc&) {
  }
  if (!copied.ok()) {
    queue.pop_back();
    return copied;
  }
  StatusOr<MarkRef> end = events_.MarkNow(stream);
  if (!end.ok()) {  // nothing will tell when the copy ends, and its memory may be let go on return: wait for it now
    queue.pop_back();
    TIERLIB_RETURN_IF_ERROR(device_.SynchronizeStream(stream));
  }
  copied_bytes_[static_cast<int>(direction)] += transfer->bytes;
  bytes_in_flight_ += transfer->bytes;
  if (end.ok()) {
    transfer->end = *std::move(end);
  } else {
    Finish(*transfer, OkStatus());
  }
  return transfer;
}

// Without its mark the copy goes unmeasured, and all the same.
void TransferEngine::MarkBegin(Transfer& transfer, Stream stream) {
  const auto detail = static_cast<std::uint16_t>(transfer.direction);
  trace::Write(recorder_, trace::Event::kTransferStorage, trace::Tag::kSaved, detail, 0, transfer.number,
               transfer.storage.ToInteger());
  trace::Write(recorder_, trace::Event::kTransferAsk, trace::Tag::kSaved, detail, 0, transfer.number, transfer.bytes);
  if (time_ != nullptr) transfer.claim = time_->NewClaim();
  if (recorder_ == nullptr && transfer.claim == nullptr) return;
  StatusOr<MarkRef> begin = events_.MarkNow(stream);
  if (begin.ok()) transfer.begin = *std::move(begin);
}

void TransferEngine::BookTime(const Transfer& transfer) {
  const Interval copied = {device_.EventTimeNs(transfer.begin->event), device_.EventTimeNs(transfer.end->event)};
  if (transfer.claim != nullptr) time_->AddTransfer(transfer.direction, copied);
  if (recorder_ == nullptr) return;
  const auto detail = static_cast<std::uint16_t>(transfer.direction);
  recorder_->WriteAt(copied.begin, trace::Event::kTransferBegin, trace::Tag::kSaved, detail, 0, transfer.number,
                     transfer.bytes);
  recorder_->WriteAt(copied.end, trace::Event::kTransferEnd, trace::Tag::kSaved, detail, 0, transfer.number,
                     transfer.bytes);
}

StatusOr<bool> TransferEngine::WaitOn(Stream stream, const TransferRef& transfer) {
  if (transfer->ended) {
    TIERLIB_RETURN_IF_ERROR(transfer->status);
    return false;
  }
  TIERLIB_RETURN_IF_ERROR(events_.WaitOn(stream, *transfer->end));
  return stream != transfer->end->stream;
}

TransferRef TransferEngine::LastCopyOut(StorageId storage) const {
  const auto& queue = in_flight_[0];
  const auto last =
      std::find_if(queue.rbegin(), queue.rend(), [&](const TransferRef& one) { return one->storage == storage; });
  return last == queue.rend() ? nullptr : *last;
}

void TransferEngine::Finish(Transfer& transfer, Status status) {
  transfer.ended = true;
  transfer.status = copy_fails.Fails() ? UnavailableError("the copy failed by a failpoint") : std::move(status);
  bytes_in_flight_ -= transfer.bytes;
  if (!transfer.status.ok() && health_.ok()) health_ = transfer.status;
  if (transfer.begin != nullptr && transfer.end != nullptr && transfer.status.ok()) BookTime(transfer);
  transfer.claim = nullptr;
  transfer.begin = nullptr;
  transfer.end = nullptr;
  transfer.keeps = nullptr;
}

void TransferEngine::Poll() {
  for (auto& queue : in_flight_) {
    while (!queue.empty()) {
      const StatusOr<bool> done = device_.EventDone(queue.front()->end->event);
      if (done.ok() && !*done) break;
      const TransferRef transfer = std::move(queue.front());
      queue.pop_front();
      Finish(*transfer, done.ok() ? OkStatus() : done.status());
    }
  }
}

MarkRef TransferEngine::OldestKeeping() const {
  for (const auto& queue : in_flight_) {
    for (const TransferRef& transfer : queue) {
      if (transfer->keeps != nullptr) return transfer->end;
    }
  }
  return nullptr;
}

Status TransferEngine::Await(const TransferRef& transfer) {
  auto& queue = in_flight_[transfer->direction == CopyDirection::kDeviceToHost ? 0 : 1];
  while (!transfer->ended && !queue.empty()) {
    const TransferRef oldest = queue.front();
    Status status = device_.SynchronizeEvent(oldest->end->event);
    queue.pop_front();
    Finish(*oldest, std::move(status));
  }
  return transfer->status;
}

Status TransferEngine::AwaitCopiesOut(StorageId storage) {
  const TransferRef last = LastCopyOut(storage);
  return last == nullptr ? OkStatus() : Await(last);
}

Status TransferEngine::Drain(std::int64_t deadline_ns) {
  for (;;) {
    Poll();
    if (in_flight_[0].empty() && in_flight_[1].empty()) return OkStatus();
    if (NowNs() >= deadline_ns) {
      return Status(StatusCode::kDeadlineExceeded, "copies were still in flight at the deadline");
    }
    const timespec pause = {0, 50'000};
    nanosleep(&pause, nullptr);
  }
}

Status TransferEngine::AwaitBytesInFlight(std::uint64_t limit) {
  Poll();
  while (bytes_in_flight_ > limit) {
    auto& queue = in_flight_[0].empty() ? in_flight_[1] : in_flight_[0];
    TIERLIB_RETURN_IF_ERROR(Await(TransferRef(queue.front())));
  }
  return OkStatus();
}

}  // namespace tierlib
