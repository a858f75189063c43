// CaptureDevice: a device as the store of a captured step has it. Until End what is enqueued becomes a part of the
// graph that another one captures. Nothing is asked of the device and nothing waits on the host: no event is known to
// have completed until Over says that the graph will not be launched again, so that what a launch reads or writes is
// kept for as long.
//
// Owns nothing of the device, but keeps what it was given until it goes: the memory that the store's pools are in.
//
// Thread-safety: as every device.
#ifndef TIERLIB_SRC_STORAGE_CAPTURE_DEVICE_H_
#define TIERLIB_SRC_STORAGE_CAPTURE_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class CaptureDevice final : public DeviceBackend {
 public:
  // `capacity`: bytes of the region that the store's pool is in. REQUIRES: `device` outlives `memory`'s last owner but
  // this one.
  CaptureDevice(DeviceBackend& device, std::uint64_t capacity, std::shared_ptr<void> memory);

  // The streams that were made through it and exist, in their order.
  std::vector<Stream> streams() const;
  // The capture has ended: nothing more is enqueued.
  void End() { phase_.store(Phase::kCaptured); }
  // A wait of the host for a stream, which is what is left to do where a call of the device failed, was refused before
  // End: what is captured may lack an order that it needs.
  bool spoilt() const { return spoilt_.load(); }
  // No launch is pending or will come.
  void Over() { phase_.store(Phase::kOver); }

  const DeviceInfo& info() const override { return info_; }

  StatusOr<void*> Reserve(std::size_t bytes) override;
  Status Release(void* base, std::size_t bytes) override;
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override;
  Status PinHost(void* base, std::size_t bytes) override;
  Status UnpinHost(void* base, std::size_t bytes) override;

  StatusOr<Stream> CreateStream(std::string_view name) override;
  Status DestroyStream(Stream stream) override;
  Status SynchronizeStream(Stream stream) override;
  Status Synchronize() override;
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override { return device_.StreamNumber(stream); }
  bool Owns(Stream stream) const override { return device_.Owns(stream); }
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return device_.destroyed_streams(); }

  StatusOr<EventId> CreateEvent() override { return device_.CreateEvent(); }
  void DestroyEvent(EventId event) override { device_.DestroyEvent(event); }
  Status RecordEvent(EventId event, Stream stream) override;
  Status WaitEvent(Stream stream, EventId event) override;
  StatusOr<bool> EventDone(EventId event) override;
  Status SynchronizeEvent(EventId event) override;
  std::int64_t EventTimeNs(EventId) override { return 0; }

  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override;
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override;
  Status Launch(Stream stream, HostKernel kernel) override;
  Status EnqueueNative(absl::FunctionRef<Status()> enqueue) override;
  bool InCapture(Stream stream) const override { return device_.InCapture(stream); }

  std::uint64_t CopiedBytes(CopyDirection direction) const override { return device_.CopiedBytes(direction); }
  std::uint64_t host_waits() const override { return device_.host_waits(); }
  Status health() const override { return device_.health(); }

 private:
  enum class Phase : std::uint8_t { kCapturing, kCaptured, kOver };
  bool capturing() const { return phase_.load() == Phase::kCapturing; }
  Status CheckCapturing(const char* call) const;
  Status CheckOver(const char* call) const;

  DeviceBackend& device_;
  DeviceInfo info_;
  const std::shared_ptr<void> memory_;
  std::atomic<Phase> phase_{Phase::kCapturing};
  std::atomic<bool> spoilt_{false};
  mutable Mutex mutex_;
  std::vector<Stream> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_CAPTURE_DEVICE_H_
