// TransferEngine: copies between one device and the host on two streams of their own, one per direction.
//
// A copy out starts after the producer's work; a copy in after the copy out of the same bytes. Large copies are split
// into chunks with a mark after each (copy_chunks.h), and a chunk of a copy in waits for those chunks of the copies out
// that bring its own bytes: a value that is asked for while it leaves comes back right behind. Small copies out may be
// gathered (copy_batch.h): they are enqueued as one when something needs one of them, or when there are enough; so long
// a transfer is gathered, and has no marks. Nothing here blocks except Await and Drain. Memory is given back in stream
// order by its owners (BlockPool); memory that the program owns is kept referenced by the transfer until the copy is
// known to have ended.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_
#define TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "storage/copy_batch.h"
#include "storage/copy_chunks.h"
#include "storage/event_pool.h"
#include "storage/time_ledger.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {

// A part of a transfer that can be waited for. Chunks of one transfer end in their order.
struct TransferChunk {
  MarkRef end;  // null once the chunk is known to have ended
  std::uint64_t bytes = 0;
  HostSpan host;  // where its bytes lie on the host
};

// One copy operation, from being asked for to being known to have ended.
struct Transfer {
  std::uint64_t number = 0;  // for the trace
  CopyDirection direction = CopyDirection::kDeviceToHost;
  StorageId storage;
  std::uint64_t bytes = 0;
  MarkRef begin;  // where a trace is on, or a step under way
  TimeLedger::Claim claim;
  absl::InlinedVector<TransferChunk, 1> chunks;  // in flight, and those before them
  std::size_t ended_chunks = 0;
  MarkRef end;                  // of the last chunk
  std::shared_ptr<void> keeps;  // memory of the program that the copy reads or writes
  bool gathered = false;        // not enqueued yet
  bool ended = false;
  Status status;  // OK, or why a chunk failed: the transfer has then, though it may not have ended
};
using TransferRef = std::shared_ptr<Transfer>;

struct CopyLimits {
  std::uint64_t chunk_bytes = 0;     // 0: no copy is split
  std::uint64_t coalesce_bytes = 0;  // 0: none waits for others
};

class TransferEngine {
 public:
  // REQUIRES: `device` and `events` outlive the engine, and so do `recorder` and `time`, which may be null. Its streams
  // are the device's own. `limits` as in DeviceOptions. `numbers`: the last number given to a transfer, which engines
  // of one trace share, as its records tell transfers apart by their numbers alone.
  static StatusOr<std::unique_ptr<TransferEngine>> Create(DeviceBackend& device, EventPool& events,
                                                          trace::Recorder* recorder, TimeLedger* time = nullptr,
                                                          CopyLimits limits = {},
                                                          std::shared_ptr<std::uint64_t> numbers = nullptr);
  ~TransferEngine();

  Stream out_stream() const { return *out_; }
  Stream in_stream() const { return *in_; }

  // Enqueues a copy to the host of bytes that the work up to `produced` wrote.
  StatusOr<TransferRef> CopyOut(absl::Span<const CopyRun> runs, const Mark& produced, StorageId storage,
                                std::shared_ptr<void> keeps);
  // Whether a copy out that reads a block of so many bytes may wait for others.
  bool Gathers(std::uint64_t device_bytes) const { return device_bytes <= limits_.coalesce_bytes / 4; }
  // The same for a copy that may wait: `member` has its runs, its blocks, and no transfer yet. REQUIRES: Gathers.
  StatusOr<TransferRef> GatherCopyOut(CopyBatch::Member member, MarkRef produced, StorageId storage,
                                      std::shared_ptr<void> keeps);
  // Enqueues what was gathered: all / where one of it is of the storage. An error leaves it gathered, and nothing lost.
  Status FlushBatch();
  Status FlushBatchOf(StorageId storage);
  bool has_batch() const { return !batch_.empty(); }
  bool HasInBatch(StorageId storage) const { return batch_.LastOf(storage) != nullptr; }
  // Enqueues a copy to the device, each chunk of it after what `sources` (the copies that brought the bytes to the
  // host) have of its bytes.
  StatusOr<TransferRef> CopyIn(absl::Span<const CopyRun> runs, absl::Span<const TransferRef> sources, StorageId storage,
                               std::shared_ptr<void> keeps);
  // Later work of `stream` starts after the transfer. True where a wait had to be inserted.
  StatusOr<bool> WaitOn(Stream stream, const TransferRef& transfer);
  // The last copy out of the storage that is in flight; null where none is. Those before it end before it.
  TransferRef LastCopyOut(StorageId storage) const;

  // Notices chunks and transfers that ended; drops what these kept.
  void Poll();
  // The oldest transfer that keeps memory of the program; null where none does.
  TransferRef OldestKeeping() const;
  // Blocks until the transfer ended; its status.
  Status Await(const TransferRef& transfer);
  // Blocks until no copy out of the storage is in flight; the status of the last.
  Status AwaitCopiesOut(StorageId storage);
  // Blocks until every transfer ended, or until the clock reaches `deadline_ns` (DeadlineExceeded).
  Status Drain(std::int64_t deadline_ns);
  // Blocks until at most `limit` bytes are in flight.
  Status AwaitBytesInFlight(std::uint64_t limit);

  std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }  // gathered ones included
  // What was handed to the device for copying so far, or is gathered for it, summed over the runs of each copy and
  // independent of every decision.
  std::uint64_t copied_bytes(CopyDirection direction) const { return copied_bytes_[static_cast<int>(direction)]; }
  // OK, or the first copy that failed.
  const Status& health() const { return health_; }

 private:
  using Queue = std::deque<TransferRef>;
  class Sources;

  TransferEngine(DeviceBackend& device, EventPool& events, trace::Recorder* recorder, TimeLedger* time,
                 CopyLimits limits, std::shared_ptr<std::uint64_t> numbers)
      : device_(device),
        events_(events),
        recorder_(recorder),
        time_(time),
        limits_(limits),
        numbers_(std::move(numbers)) {}
  StatusOr<TransferRef> Enqueue(const CopyChunks& copy, CopyDirection direction, Sources& sources, StorageId storage,
                                std::shared_ptr<void> keeps);
  Status EnqueueChunks(const CopyChunks& copy, Sources& sources, Transfer& transfer);
  void AddChunk(Transfer& transfer, const CopyChunks::Chunk& chunk);
  TransferRef NewTransfer(CopyDirection direction, StorageId storage, std::uint64_t bytes, std::shared_ptr<void> keeps);
  // Puts the batch's members, which are enqueued, into the queue; `end` is null where they have ended.
  Status EnqueueBatch(MarkRef& begin, MarkRef& end);
  void RecordAsk(const Transfer& transfer);
  void RecordFailure(const Transfer& transfer);
  MarkRef MarkBegin(CopyDirection direction);
  // The chunk that the queue's first transfer is at has ended.
  void EndChunk(Queue& queue, Status status);
  // Blocks until it has; its status.
  Status AwaitChunk(Queue& queue);
  void Finish(Transfer& transfer);
  void BookTime(const Transfer& transfer);
  Queue& QueueOf(CopyDirection direction) { return in_flight_[direction == CopyDirection::kDeviceToHost ? 0 : 1]; }
  Stream StreamOf(CopyDirection direction) const { return direction == CopyDirection::kDeviceToHost ? *out_ : *in_; }

  DeviceBackend& device_;
  EventPool& events_;
  trace::Recorder* const recorder_;
  TimeLedger* const time_;
  const CopyLimits limits_;
  std::optional<Stream> out_;  // both once made
  std::optional<Stream> in_;
  Queue in_flight_[2];  // out, in: each ends in order
  CopyBatch batch_;     // copies out that come after those in flight
  std::uint64_t bytes_in_flight_ = 0;
  std::uint64_t copied_bytes_[3] = {};
  const std::shared_ptr<std::uint64_t> numbers_;  // the last one given
  Status health_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_
