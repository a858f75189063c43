// TransferEngine: copies out that are gathered, and enqueued as one.
#include <new>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "storage/transfer_engine.h"

namespace tierlib {
namespace {

Failpoint batch_is_refused("transfer.batch");

}  // namespace

StatusOr<TransferRef> TransferEngine::GatherCopyOut(CopyBatch::Member member, MarkRef produced, StorageId storage,
                                                    std::shared_ptr<void> keeps) {
  const std::uint64_t limit = limits_.coalesce_bytes;
  const std::uint64_t unit = device_.info().alignment;
  member.device_bytes = (member.device_bytes + unit - 1) / unit * unit;  // as the pool has it
  if (batch_.device_bytes() + member.device_bytes > limit) TIERLIB_RETURN_IF_ERROR(FlushBatch());
  std::uint64_t bytes = 0;
  for (const CopyRun& run : member.runs) bytes += run.bytes;
  const TransferRef transfer = NewTransfer(CopyDirection::kDeviceToHost, storage, bytes, std::move(keeps));
  transfer->gathered = true;
  transfer->chunks.push_back({nullptr, bytes, SpanOnHost(member.runs, CopyDirection::kDeviceToHost)});
  member.transfer = transfer;
  CopyBatch::Producer producer{std::nullopt, std::move(produced)};
  const StatusOr<std::uint64_t> number = device_.StreamNumber(producer.made->stream);
  if (number.ok()) producer.stream = *number;
  batch_.Add(std::move(member), std::move(producer));
  bytes_in_flight_ += bytes;
  copied_bytes_[static_cast<int>(transfer->direction)] += bytes;
  RecordAsk(*transfer);
  if (batch_.device_bytes() >= limit) (void)FlushBatch();  // where that fails, whoever needs them tries again
  return transfer;
}

Status TransferEngine::FlushBatchOf(StorageId storage) { return HasInBatch(storage) ? FlushBatch() : OkStatus(); }

Status TransferEngine::FlushBatch() {
  if (batch_.empty()) return OkStatus();
  MarkRef begin;
  MarkRef end;
  TIERLIB_RETURN_IF_ERROR(EnqueueBatch(begin, end));
  TimeLedger::Claim claim = time_ != nullptr ? time_->NewClaim() : nullptr;
  for (const CopyBatch::Member& member : batch_.members()) {
    Transfer& transfer = *member.transfer;
    transfer.gathered = false;
    transfer.begin = begin;
    transfer.claim = std::exchange(claim, nullptr);  // one of them tells of the time of all
    transfer.end = end;
    transfer.chunks.back().end = end;
    if (end != nullptr) continue;
    bytes_in_flight_ -= transfer.bytes;
    Finish(transfer);
  }
  batch_.Clear();
  return OkStatus();
}

// On an error nothing was put into the queue. What may be running then reads and writes blocks that the batch still
// has, and is done again.
Status TransferEngine::EnqueueBatch(MarkRef& begin, MarkRef& end) {
  Queue& queue = QueueOf(CopyDirection::kDeviceToHost);
  const std::size_t before = queue.size();
  Status status;
  try {
    for (const CopyBatch::Producer& producer : batch_.producers()) {
      TIERLIB_RETURN_IF_ERROR(events_.WaitOn(*out_, *producer.made));
    }
    const std::vector<CopyRun> runs = batch_.Runs();
    for (const CopyBatch::Member& member : batch_.members()) queue.push_back(member.transfer);
    begin = MarkBegin(CopyDirection::kDeviceToHost);
    status = batch_is_refused.Fails() ? UnavailableError("the copies were refused by a failpoint")
                                      : device_.Copy(runs, CopyDirection::kDeviceToHost, *out_);
    if (status.ok()) {
      StatusOr<MarkRef> mark = events_.MarkNow(*out_);
      if (mark.ok()) end = *std::move(mark);
      if (!mark.ok()) status = device_.SynchronizeStream(*out_);  // nothing tells when they end
    }
  } catch (const std::bad_alloc&) {
    status = Status(StatusCode::kResourceExhausted);
  }
  while (queue.size() > before && (!status.ok() || end == nullptr)) queue.pop_back();
  return status;
}

}  // namespace tierlib
