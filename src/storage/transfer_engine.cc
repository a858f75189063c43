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
  for (const CopyBatch::Member& member : batch_.members()) RecordFailure(*member.transfer);
  batch_.Clear();  // its blocks go back while the streams that they name are there
  for (const std::optional<Stream>& stream : {out_, in_}) {
    if (stream) (void)device_.DestroyStream(*stream);
  }
}

StatusOr<std::unique_ptr<TransferEngine>> TransferEngine::Create(DeviceBackend& device, EventPool& events,
                                                                 trace::Recorder* recorder, TimeLedger* time,
                                                                 CopyLimits limits,
                                                                 std::shared_ptr<std::uint64_t> numbers) {
  if (numbers == nullptr) numbers = std::make_shared<std::uint64_t>(0);
  std::unique_ptr<TransferEngine> engine(
      new TransferEngine(device, events, recorder, time, limits, std::move(numbers)));
  TIERLIB_ASSIGN_OR_RETURN(engine->out_, device.CreateStream("copy out"));
  TIERLIB_ASSIGN_OR_RETURN(engine->in_, device.CreateStream("copy in"));
  return engine;
}

// The copies that a copy in comes after, and how far its stream waits for each of them so far.
class TransferEngine::Sources {
 public:
  explicit Sources(absl::Span<const TransferRef> sources) : sources_(sources), waited_(sources.size(), 0) {}

  // OK, or the first that failed.
  Status Check() const {
    for (const TransferRef& source : sources_) TIERLIB_RETURN_IF_ERROR(source->status);
    return OkStatus();
  }
  // Later work of `stream` starts after the chunks that have bytes of `host`.
  Status Wait(EventPool& events, Stream stream, const HostSpan& host) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const auto& chunks = sources_[i]->chunks;
      const std::size_t done = std::max(waited_[i], sources_[i]->ended_chunks);
      std::size_t last = chunks.size();
      while (last > done && !chunks[last - 1].host.Meets(host)) --last;
      if (last <= done) continue;
      TIERLIB_RETURN_IF_ERROR(events.WaitOn(stream, *chunks[last - 1].end));
      waited_[i] = last;
    }
    return OkStatus();
  }

 private:
  const absl::Span<const TransferRef> sources_;
  absl::InlinedVector<std::size_t, 4> waited_;  // chunks
};

StatusOr<TransferRef> TransferEngine::CopyOut(absl::Span<const CopyRun> runs, const Mark& produced, StorageId storage,
                                              std::shared_ptr<void> keeps) {
  TIERLIB_RETURN_IF_ERROR(FlushBatch());  // copies out end in the order in which they were asked for
  TIERLIB_RETURN_IF_ERROR(events_.WaitOn(*out_, produced));
  Sources none({});
  const CopyChunks copy(runs, CopyDirection::kDeviceToHost, limits_.chunk_bytes);
  return Enqueue(copy, CopyDirection::kDeviceToHost, none, storage, std::move(keeps));
}

StatusOr<TransferRef> TransferEngine::CopyIn(absl::Span<const CopyRun> runs, absl::Span<const TransferRef> sources,
                                             StorageId storage, std::shared_ptr<void> keeps) {
  for (const TransferRef& source : sources) {
    if (source->gathered) TIERLIB_RETURN_IF_ERROR(FlushBatch());
  }
  Sources after(sources);
  TIERLIB_RETURN_IF_ERROR(after.Check());
  const CopyChunks copy(runs, CopyDirection::kHostToDevice, limits_.chunk_bytes);
  return Enqueue(copy, CopyDirection::kHostToDevice, after, storage, std::move(keeps));
}

TransferRef TransferEngine::NewTransfer(CopyDirection direction, StorageId storage, std::uint64_t bytes,
                                        std::shared_ptr<void> keeps) {
  auto transfer = std::make_shared<Transfer>();
  transfer->number = ++*numbers_;
  transfer->direction = direction;
  transfer->storage = storage;
  transfer->bytes = bytes;
  transfer->keeps = std::move(keeps);
  return transfer;
}

StatusOr<TransferRef> TransferEngine::Enqueue(const CopyChunks& copy, CopyDirection direction, Sources& sources,
                                              StorageId storage, std::shared_ptr<void> keeps) {
  const TransferRef transfer = NewTransfer(direction, storage, copy.bytes(), std::move(keeps));
  transfer->chunks.reserve(copy.chunks().size());
  Queue& queue = QueueOf(direction);
  queue.push_back(transfer);  // before the copy: what may throw comes before what memory is needed for
  const Status enqueued = EnqueueChunks(copy, sources, *transfer);
  if (!enqueued.ok()) {
    queue.pop_back();
    return enqueued;
  }
  copied_bytes_[static_cast<int>(direction)] += transfer->bytes;
  transfer->end = transfer->chunks.back().end;
  if (transfer->end == nullptr) {  // it was waited for
    queue.pop_back();
    Finish(*transfer);
  } else {
    bytes_in_flight_ += transfer->bytes;
  }
  return transfer;
}

// On an error nothing of the transfer is running: its memory may be let go on return.
Status TransferEngine::EnqueueChunks(const CopyChunks& copy, Sources& sources, Transfer& transfer) {
  const Stream stream = StreamOf(transfer.direction);
  bool begun = false;
  bool asked = false;
  Status status;
  try {
    for (const CopyChunks::Chunk& chunk : copy.chunks()) {
      // What is not split waits for all of its sources.
      status = sources.Wait(events_, stream, copy.chunks().size() == 1 ? HostSpan() : chunk.host);
      if (!status.ok()) break;
      if (!begun) {
        RecordAsk(transfer);
        asked = true;
        if (time_ != nullptr) transfer.claim = time_->NewClaim();
        transfer.begin = MarkBegin(transfer.direction);
      }
      status = copy_is_refused.Fails() ? UnavailableError("the copy was refused by a failpoint")
                                       : device_.Copy(chunk.runs, transfer.direction, stream);
      if (!status.ok()) break;
      begun = true;
      AddChunk(transfer, chunk);
    }
  } catch (const std::bad_alloc&) {
    status = Status(StatusCode::kResourceExhausted);
  }
  if (!status.ok()) {
    if (begun) (void)device_.SynchronizeStream(stream);
  } else if (transfer.chunks.back().end == nullptr) {  // nothing tells when the last chunk ends
    status = device_.SynchronizeStream(stream);
  }
  if (!status.ok() && asked) RecordFailure(transfer);
  return status;
}

// A chunk that gets no mark ends with the one after it.
void TransferEngine::AddChunk(Transfer& transfer, const CopyChunks::Chunk& chunk) {
  if (transfer.chunks.empty() || transfer.chunks.back().end != nullptr) {
    transfer.chunks.push_back({nullptr, chunk.bytes, chunk.host});
  } else {
    transfer.chunks.back().bytes += chunk.bytes;
    transfer.chunks.back().host = transfer.chunks.back().host.With(chunk.host);
  }
  StatusOr<MarkRef> end = events_.MarkNow(StreamOf(transfer.direction));
  if (end.ok()) transfer.chunks.back().end = *std::move(end);
}

void TransferEngine::RecordAsk(const Transfer& transfer) {
  const auto detail = static_cast<std::uint16_t>(transfer.direction);
  trace::Write(recorder_, trace::Event::kTransferStorage, trace::Tag::kSaved, detail, 0, transfer.number,
               transfer.storage.ToInteger());
  trace::Write(recorder_, trace::Event::kTransferAsk, trace::Tag::kSaved, detail, 0, transfer.number, transfer.bytes);
}

// The bytes of a copy that failed may be anywhere on their way: its end says that none arrived.
void TransferEngine::RecordFailure(const Transfer& transfer) {
  trace::Write(recorder_, trace::Event::kTransferEnd, trace::Tag::kSaved,
               static_cast<std::uint16_t>(transfer.direction), 0, transfer.number, 0);
}

// Where nobody measures there is none. Without it the copy goes unmeasured, and all the same.
MarkRef TransferEngine::MarkBegin(CopyDirection direction) {
  if (recorder_ == nullptr && (time_ == nullptr || !time_->in_step())) return nullptr;
  StatusOr<MarkRef> begin = events_.MarkNow(StreamOf(direction));
  return begin.ok() ? *std::move(begin) : nullptr;
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
  TIERLIB_RETURN_IF_ERROR(transfer->status);
  if (transfer->gathered) TIERLIB_RETURN_IF_ERROR(FlushBatch());
  if (transfer->ended) return false;
  TIERLIB_RETURN_IF_ERROR(events_.WaitOn(stream, *transfer->end));
  return stream != transfer->end->stream;
}

TransferRef TransferEngine::LastCopyOut(StorageId storage) const {
  if (const TransferRef gathered = batch_.LastOf(storage)) return gathered;
  const auto& queue = in_flight_[0];
  const auto last =
      std::find_if(queue.rbegin(), queue.rend(), [&](const TransferRef& one) { return one->storage == storage; });
  return last == queue.rend() ? nullptr : *last;
}

void TransferEngine::EndChunk(Queue& queue, Status status) {
  const TransferRef transfer = queue.front();
  TransferChunk& chunk = transfer->chunks[transfer->ended_chunks++];
  bytes_in_flight_ -= chunk.bytes;
  chunk.end = nullptr;
  if (transfer->status.ok()) transfer->status = std::move(status);
  if (transfer->ended_chunks < transfer->chunks.size()) return;
  queue.pop_front();
  Finish(*transfer);
}

void TransferEngine::Finish(Transfer& transfer) {
  transfer.ended = true;
  if (copy_fails.Fails()) transfer.status = UnavailableError("the copy failed by a failpoint");
  if (!transfer.status.ok() && health_.ok()) health_ = transfer.status;
  if (transfer.begin != nullptr && transfer.end != nullptr && transfer.status.ok()) BookTime(transfer);
  if (!transfer.status.ok()) RecordFailure(transfer);
  transfer.claim = nullptr;
  transfer.begin = nullptr;
  transfer.end = nullptr;
  transfer.chunks.clear();
  transfer.ended_chunks = 0;
  transfer.keeps = nullptr;
}

void TransferEngine::Poll() {
  for (Queue& queue : in_flight_) {
    while (!queue.empty()) {
      const Transfer& oldest = *queue.front();
      const MarkRef end = oldest.chunks[oldest.ended_chunks].end;
      const StatusOr<bool> done = device_.EventDone(end->event);
      if (done.ok() && !*done) break;
      do {  // copies that were gathered end as one
        EndChunk(queue, done.status());
      } while (!queue.empty() && queue.front()->chunks[queue.front()->ended_chunks].end == end);
    }
  }
}

TransferRef TransferEngine::OldestKeeping() const {
  for (const auto& queue : in_flight_) {
    for (const TransferRef& transfer : queue) {
      if (transfer->keeps != nullptr) return transfer;
    }
  }
  return nullptr;
}

Status TransferEngine::AwaitChunk(Queue& queue) {
  const TransferRef oldest = queue.front();
  EndChunk(queue, device_.SynchronizeEvent(oldest->chunks[oldest->ended_chunks].end->event));
  return oldest->status;
}

Status TransferEngine::Await(const TransferRef& transfer) {
  if (transfer->gathered) TIERLIB_RETURN_IF_ERROR(FlushBatch());
  Queue& queue = QueueOf(transfer->direction);
  while (!transfer->ended && !queue.empty()) (void)AwaitChunk(queue);
  return transfer->status;
}

Status TransferEngine::AwaitCopiesOut(StorageId storage) {
  const TransferRef last = LastCopyOut(storage);
  return last == nullptr ? OkStatus() : Await(last);
}

Status TransferEngine::Drain(std::int64_t deadline_ns) {
  const Status flushed = FlushBatch();
  for (;;) {
    Poll();
    if (in_flight_[0].empty() && in_flight_[1].empty()) return flushed;
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
    if (in_flight_[0].empty() && in_flight_[1].empty()) {  // whether it comes to this does not depend on timing
      TIERLIB_RETURN_IF_ERROR(FlushBatch());
      continue;
    }
    Queue& queue = in_flight_[0].empty() ? in_flight_[1] : in_flight_[0];
    (void)AwaitChunk(queue);  // an error stays with the copy, and in health()
  }
  return OkStatus();
}

}  // namespace tierlib
