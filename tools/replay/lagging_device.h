// LaggingDevice: a device without bytes whose work is a fixed number of operations behind the host, so that what has
// ended depends on the program alone and not on time.
//
// An event completes when so many operations went by since it was recorded, or when the host waited for it or for
// something recorded later: who waits for the device has caught up with it. With no lag every event completes at once.
//
// Thread-safety: none; a replay has one thread.
#ifndef TIERLIB_TOOLS_REPLAY_LAGGING_DEVICE_H_
#define TIERLIB_TOOLS_REPLAY_LAGGING_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "allocator/forwarding_device.h"

namespace tierlib::trace_replay {

class LaggingDevice : public ForwardingDevice {
 public:
  // `device`: one whose events are complete when they are recorded (EmulatedSchedule::kShapeOnly). `granularity`: of
  // what is reserved, in bytes; 0: the device's own.
  LaggingDevice(std::unique_ptr<DeviceBackend> device, std::uint64_t lag, std::size_t granularity)
      : ForwardingDevice(*device), device_(std::move(device)), info_(device_->info()), lag_(lag) {
    if (granularity != 0) info_.granularity = granularity;
  }

  // One operation went by.
  void Advance() { ++now_; }

  const DeviceInfo& info() const override { return info_; }
  Status DestroyStream(Stream stream) override {
    CatchUpWith(recorded_);
    return device_->DestroyStream(stream);
  }
  Status SynchronizeStream(Stream stream) override {
    CatchUpWith(recorded_);
    return device_->SynchronizeStream(stream);
  }
  Status Synchronize() override {
    CatchUpWith(recorded_);
    return device_->Synchronize();
  }
  void DestroyEvent(EventId event) override {
    pending_.erase(event);
    device_->DestroyEvent(event);
  }
  Status RecordEvent(EventId event, Stream stream) override;
  // WaitEvent notes nothing: what is enqueued later ends later.
  StatusOr<bool> EventDone(EventId event) override;
  Status SynchronizeEvent(EventId event) override;

 private:
  struct Recording {
    std::uint64_t operation = 0;
    std::uint64_t number = 0;  // among all recordings, from 1
  };
  void CatchUpWith(std::uint64_t number) { caught_up_ = number > caught_up_ ? number : caught_up_; }

  const std::unique_ptr<DeviceBackend> device_;
  DeviceInfo info_;
  const std::uint64_t lag_;
  std::uint64_t now_ = 0;
  std::uint64_t recorded_ = 0;   // recordings so far
  std::uint64_t caught_up_ = 0;  // recordings up to this number are complete, as the host waited
  absl::flat_hash_map<EventId, Recording> pending_;
};

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_LAGGING_DEVICE_H_
