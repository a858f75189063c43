// TimedDevice: a device whose time passes only as the test says. Kernels and copies run nothing and take what the test
// says, in the order of their streams; one copy at a time per direction, a nanosecond a byte. So every time is exact.
#ifndef TIERLIB_TESTS_STORAGE_TIMED_DEVICE_H_
#define TIERLIB_TESTS_STORAGE_TIMED_DEVICE_H_

#include <algorithm>
#include <map>
#include <optional>

#include "allocator/fake_device.h"

namespace tierlib {

class TimedDevice : public FakeDevice {
 public:
  std::int64_t now = 0;  // nothing that is enqueued starts before; what ends later is not complete
  bool times_kernels = true;

  void Kernel(Stream stream, std::int64_t ns) {
    Line& line = LineOf(stream);
    line.end += ns;
    line.kernel_ns += ns;
  }

  Status RecordEvent(EventId event, Stream stream) override {
    recordings_[event] = LineOf(stream);
    return OkStatus();
  }
  Status WaitEvent(Stream stream, EventId event) override {
    Line& line = LineOf(stream);
    line.end = std::max(line.end, recordings_.at(event).end);
    return OkStatus();
  }
  StatusOr<bool> EventDone(EventId event) override { return recordings_.at(event).end <= now; }
  std::int64_t EventTimeNs(EventId event) override { return recordings_.at(event).end; }
  std::optional<std::int64_t> EventKernelNs(EventId event) override {
    if (!times_kernels) return std::nullopt;
    return recordings_.at(event).kernel_ns;
  }
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection, Stream stream) override {
    for (const CopyRun& run : runs) LineOf(stream).end += static_cast<std::int64_t>(run.bytes);
    return OkStatus();
  }

 private:
  struct Line {  // of a stream, up to a point of its work
    std::int64_t end = 0;
    std::int64_t kernel_ns = 0;
  };
  Line& LineOf(Stream stream) {
    Line& line = lines_[stream.handle];
    line.end = std::max(line.end, now);
    return line;
  }

  std::map<std::uintptr_t, Line> lines_;
  std::map<EventId, Line> recordings_;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_STORAGE_TIMED_DEVICE_H_
