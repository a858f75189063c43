// TransferEngine: copies between one device and the host on two streams of their own, one per direction.
//
// A copy out starts after the producer's work; a copy in after the copy out of the same bytes. Nothing here blocks
// except Await and Drain. Memory is given back in stream order by its owners (BlockPool); memory that the program owns
// is kept referenced by the transfer until the copy is known to have ended.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_
#define TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "storage/event_pool.h"
#include "storage/time_ledger.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {

// One copy operation, from being asked for to being known to have ended.
struct Transfer {
  std::uint64_t number = 0;  // for the trace
  CopyDirection direction = CopyDirection::kDeviceToHost;
  StorageId storage;
  std::uint64_t bytes = 0;
  MarkRef begin;  // where a trace is on, or a step under way
  TimeLedger::Claim claim;
  MarkRef end;
  std::shared_ptr<void> keeps;  // memory of the program that the copy reads or writes
  bool ended = false;
  Status status;  // once ended
};
using TransferRef = std::shared_ptr<Transfer>;

class TransferEngine {
 public:
  // REQUIRES: `device` and `events` outlive the engine, and so do `recorder` and `time`, which may be null. Its streams
  // are the device's own.
  static StatusOr<std::unique_ptr<TransferEngine>> Create(DeviceBackend& device, EventPool& events,
                                                          trace::Recorder* recorder, TimeLedger* time = nullptr);
  ~TransferEngine();

  Stream out_stream() const { return *out_; }
  Stream in_stream() const { return *in_; }

  // Enqueues a copy to the host of bytes that the work up to `produced` wrote.
  StatusOr<TransferRef> CopyOut(absl::Span<const CopyRun> runs, const Mark& produced, StorageId storage,
                                std::shared_ptr<void> keeps);
  // Enqueues a copy to the device, after each of `sources` (the copies that brought the bytes to the host).
  StatusOr<TransferRef> CopyIn(absl::Span<const CopyRun> runs, absl::Span<const TransferRef> sources, StorageId storage,
                               std::shared_ptr<void> keeps);
  // Later work of `stream` starts after the transfer. True where a wait had to be inserted.
  StatusOr<bool> WaitOn(Stream stream, const TransferRef& transfer);
  // The last copy out of the storage that is in flight; null where none is. Those before it end before it.
  TransferRef LastCopyOut(StorageId storage) const;

  // Notices transfers that ended; drops what they kept.
  void Poll();
  // The end of the oldest transfer that keeps memory of the program; null where none does.
  MarkRef OldestKeeping() const;
  // Blocks until the transfer ended; its status.
  Status Await(const TransferRef& transfer);
  // Blocks until no copy out of the storage is in flight; the status of the last.
  Status AwaitCopiesOut(StorageId storage);
  // Blocks until every transfer ended, or until the clock reaches `deadline_ns` (DeadlineExceeded).
  Status Drain(std::int64_t deadline_ns);
  // Blocks until at most `limit` bytes are in flight.
  Status AwaitBytesInFlight(std::uint64_t limit);

  std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }
  // What was handed to the device for copying so far, summed over the runs of each copy and independent of every
  // decision.
  std::uint64_t copied_bytes(CopyDirection direction) const { return copied_bytes_[static_cast<int>(direction)]; }
  // OK, or the first copy that failed.
  const Status& health() const { return health_; }

 private:
  TransferEngine(DeviceBackend& device, EventPool& events, trace::Recorder* recorder, TimeLedger* time)
      : device_(device), events_(events), recorder_(recorder), time_(time) {}
  StatusOr<TransferRef> Enqueue(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream,
                                StorageId storage, std::shared_ptr<void> keeps);
  void MarkBegin(Transfer& transfer, Stream stream);
  void Finish(Transfer& transfer, Status status);
  void BookTime(const Transfer& transfer);

  DeviceBackend& device_;
  EventPool& events_;
  trace::Recorder* const recorder_;
  TimeLedger* const time_;
  std::optional<Stream> out_;  // both once made
  std::optional<Stream> in_;
  std::deque<TransferRef> in_flight_[2];  // out, in: each ends in order
  std::uint64_t bytes_in_flight_ = 0;
  std::uint64_t copied_bytes_[3] = {};
  std::uint64_t next_number_ = 1;
  Status health_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_TRANSFER_ENGINE_H_
