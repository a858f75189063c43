// FailingDevice: an emulated device that counts its events and fails where a test says so.
#ifndef TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_
#define TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "allocator/device_factory.h"
#include "allocator/forwarding_device.h"
#include "tierlib/options.h"

namespace tierlib {

class FailingDevice : public ForwardingDevice {
 public:
  explicit FailingDevice(const DeviceOptions& options) : FailingDevice(MakeDevice(options).value()) {}

  // The next `calls` calls succeed, all later ones fail.
  struct Fuse {
    std::atomic<std::int64_t> calls{-1};  // negative: never
    std::atomic<bool> once{false};        // one fails, and those after it succeed
    std::atomic<std::uint64_t> count{0};  // of all calls so far
    Status Burn() {
      ++count;
      if (calls < 0) return OkStatus();
      if (calls == 0) {
        if (once) calls = -1;
        return UnavailableError("the test failed this call");
      }
      --calls;
      return OkStatus();
    }
  };
  Fuse create_event, record_event, event_done, copy, synchronize_stream;

  Status SynchronizeStream(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(synchronize_stream.Burn());
    return device_->SynchronizeStream(stream);
  }
  StatusOr<EventId> CreateEvent() override {
    TIERLIB_RETURN_IF_ERROR(create_event.Burn());
    return device_->CreateEvent();
  }
  void DestroyEvent(EventId event) override {
    ++destroyed_events;
    device_->DestroyEvent(event);
  }
  Status RecordEvent(EventId event, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(record_event.Burn());
    return device_->RecordEvent(event, stream);
  }
  StatusOr<bool> EventDone(EventId event) override {
    TIERLIB_RETURN_IF_ERROR(event_done.Burn());
    return device_->EventDone(event);
  }
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(copy.Burn());
    return device_->Copy(runs, direction, stream);
  }

  std::atomic<std::uint64_t> destroyed_events{0};

 private:
  explicit FailingDevice(std::unique_ptr<DeviceBackend> device)
      : ForwardingDevice(*device), device_(std::move(device)) {}

  const std::unique_ptr<DeviceBackend> device_;
};

inline DeviceOptions DeterministicDevice(std::uint64_t seed, std::uint64_t capacity = MiB(4)) {
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated.schedule = EmulatedSchedule::kDeterministic;
  options.emulated.seed = seed;
  options.emulated.kernel_threads = 1;
  options.emulated.poison = true;
  return options;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_
