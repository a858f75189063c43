// StallWatch: measures the waits that the runtime inserts into a stream of the program, by a timed event before and
// after each, and those in which it keeps the host, for the ledger of time and the trace. Records nothing outside steps
// where there is no trace.
//
// Thread-safety: not synchronised; the store's lock guards it, also where the device's pool tells of its waits.
#ifndef TIERLIB_SRC_STORAGE_STALL_WATCH_H_
#define TIERLIB_SRC_STORAGE_STALL_WATCH_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "allocator/device_backend.h"
#include "allocator/stream_clocks.h"
#include "storage/event_pool.h"
#include "storage/time_ledger.h"
#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {

class StallWatch : public WaitWatch {
 public:
  // `recorder` may be null; all of them outlive the watch.
  StallWatch(DeviceBackend& device, EventPool& events, TimeLedger& ledger, trace::Recorder* recorder)
      : device_(device), events_(events), ledger_(ledger), recorder_(recorder) {}

  // Streams of the runtime's own: what they wait for is no stall.
  void SetCopyStreams(Stream out, Stream in) {
    out_ = out;
    in_ = in;
  }

  // Whose bytes a stream waits for.
  struct Waited {
    StorageId storage;
    std::string_view label;
    std::uint32_t trace_label = 0;
  };
  // Call before and after enqueuing the wait; the result of Before goes into After.
  MarkRef Before(Stream stream);
  void After(MarkRef before, const Waited& waited, trace::StallCause cause);

  // The same around a wait of the host. `stream`: for whose work it waits. Not booked where it took less than
  // `least_ns`.
  std::int64_t HostBefore() const;
  void HostAfter(std::int64_t before_ns, const Waited& waited, trace::StallCause cause, Stream stream,
                 std::uint64_t least_ns = 0);

  // The device's pool orders reuse of memory.
  void WaitBegins(Stream stream) override { pool_wait_ = Before(stream); }
  void WaitEnds(Stream stream, Stream waited_for) override;
  std::uint64_t pool_waits() const { return pool_waits_; }  // of streams of the program

  // Books the stalls whose waits have ended.
  void Poll();

 private:
  struct Stall {
    MarkRef before;
    MarkRef after;
    StorageId storage;
    std::string label;
    std::uint32_t trace_label;
    trace::StallCause cause;
    TimeLedger::Claim claim;
  };
  bool IsOwn(Stream stream) const { return stream == out_ || stream == in_; }
  void Book(const Stall& stall);
  void Record(Interval waited, StorageId storage, std::uint32_t trace_label, trace::StallCause cause, Stream stream);

  DeviceBackend& device_;
  EventPool& events_;
  TimeLedger& ledger_;
  trace::Recorder* const recorder_;
  std::optional<Stream> out_;
  std::optional<Stream> in_;
  MarkRef pool_wait_;
  std::uint64_t pool_waits_ = 0;
  std::deque<Stall> open_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_STALL_WATCH_H_
