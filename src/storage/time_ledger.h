// TimeLedger: where the time of a device's steps went (tierlib/statistics.h, DeviceTimes). It is told of copies and
// stalls, each timed by two events, and marks the begin and end of each step on the streams that it follows. Nothing
// here waits: a step's figures are made once all that was claimed in it has been told, and its marks have completed.
// Nor does it throw, but for BeginStep: what there is no memory for goes unmeasured.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_STORAGE_TIME_LEDGER_H_
#define TIERLIB_SRC_STORAGE_TIME_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "allocator/device_backend.h"
#include "base/intervals.h"
#include "storage/event_pool.h"
#include "tierlib/statistics.h"
#include "trace/event.h"

namespace tierlib {

class TimeLedger {
 public:
  // REQUIRES: both outlive the ledger.
  TimeLedger(DeviceBackend& device, EventPool& events);

  // Takes the time of the stream from the next step on. REQUIRES: it lives as long as the device.
  void Follow(Stream stream) { followed_.push_back(stream); }

  // A step that was not ended ends where the next one begins.
  void BeginStep(std::uint64_t number);
  void EndStep();
  bool in_step() const { return !steps_.empty() && !steps_.back().ended; }

  // What is held from before something is enqueued until Add told of it, or until it is known not to happen: so long
  // the step has no figures. Null outside steps: then nothing is to be told.
  using Claim = std::shared_ptr<void>;
  Claim NewClaim() const { return in_step() ? steps_.back().claim : nullptr; }
  void AddTransfer(CopyDirection direction, Interval copied);
  // `label`: of the storage whose bytes were waited for; "" for memory.
  void AddStall(Stream stream, trace::StallCause cause, Interval waited, std::string_view label);

  // The host waited, for so long, within the step under way; outside steps nothing is noted. `cause` is one of those
  // that HostWaitTimes has.
  void AddHostWait(trace::StallCause cause, std::uint64_t waited_ns, std::string_view label);

  // Makes the figures of steps that have ended.
  void Poll();
  const DeviceTimes& times() const { return times_; }
  std::vector<StorageStalls> StallsByStorage() const;  // in the order of labels

 private:
  struct FollowedStream {
    Stream stream;
    MarkRef begin;
    MarkRef end;
  };
  struct Step {
    std::uint64_t number = 0;
    Interval host;
    HostWaitTimes host_waits;
    std::vector<FollowedStream> streams;
    Claim claim = std::make_shared<int>();
    bool ended = false;
  };
  struct Stall {
    Stream stream;
    trace::StallCause cause;
    Interval waited;
  };
  // Adds to a list of what was measured, unless there is too much of it already.
  template <typename T>
  void Keep(std::vector<T>& list, T one);
  StorageStalls& StallsOf(std::string_view label);
  bool Completed(const Step& step);
  void Settle(const Step& step);
  // The step's time: on its followed streams or, where there are none, on the host.
  Interval WindowOf(const Step& step);
  void SettleTransfers(Interval window, StepTimes& times);
  StreamTimes SettleStream(const FollowedStream& followed);
  void ForgetBefore(std::int64_t end_ns);

  DeviceBackend& device_;
  EventPool& events_;
  std::vector<Stream> followed_;
  std::deque<Step> steps_;  // without figures yet; the last one may be under way
  std::vector<Interval> out_;
  std::vector<Interval> in_;
  std::vector<Stall> stalls_;
  std::uint64_t unmeasured_ = 0;  // since the last figures
  DeviceTimes times_;
  std::map<std::string, StorageStalls, std::less<>> by_label_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_TIME_LEDGER_H_
