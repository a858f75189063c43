// ForwardingDevice: a device that does what another one does. One that adds something to it overrides what it changes;
// what it does not know of reaches the device below all the same.
#ifndef TIERLIB_SRC_ALLOCATOR_FORWARDING_DEVICE_H_
#define TIERLIB_SRC_ALLOCATOR_FORWARDING_DEVICE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "allocator/device_backend.h"

namespace tierlib {

// Thread-safety: as the device below.
class ForwardingDevice : public DeviceBackend {
 public:
  const DeviceInfo& info() const override { return below_.info(); }

  StatusOr<void*> Reserve(std::size_t bytes) override { return below_.Reserve(bytes); }
  Status ReserveAt(void* base, std::size_t bytes) override { return below_.ReserveAt(base, bytes); }
  Status Release(void* base, std::size_t bytes) override { return below_.Release(base, bytes); }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    below_.NoteBlock(base, bytes, live, stream);
  }
  Status PinHost(void* base, std::size_t bytes) override { return below_.PinHost(base, bytes); }
  Status UnpinHost(void* base, std::size_t bytes) override { return below_.UnpinHost(base, bytes); }

  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    return below_.AllocateInOrder(bytes, stream);
  }
  Status FreeInOrder(void* block, Stream stream) override { return below_.FreeInOrder(block, stream); }
  std::uint64_t ReservedInOrder() const override { return below_.ReservedInOrder(); }

  StatusOr<Stream> CreateStream(std::string_view name) override { return below_.CreateStream(name); }
  Status DestroyStream(Stream stream) override { return below_.DestroyStream(stream); }
  Status SynchronizeStream(Stream stream) override { return below_.SynchronizeStream(stream); }
  Status Synchronize() override { return below_.Synchronize(); }
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override { return below_.StreamNumber(stream); }
  bool Owns(Stream stream) const override { return below_.Owns(stream); }
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return below_.destroyed_streams(); }

  StatusOr<EventId> CreateEvent() override { return below_.CreateEvent(); }
  void DestroyEvent(EventId event) override { below_.DestroyEvent(event); }
  Status RecordEvent(EventId event, Stream stream) override { return below_.RecordEvent(event, stream); }
  Status WaitEvent(Stream stream, EventId event) override { return below_.WaitEvent(stream, event); }
  StatusOr<bool> EventDone(EventId event) override { return below_.EventDone(event); }
  Status SynchronizeEvent(EventId event) override { return below_.SynchronizeEvent(event); }
  std::int64_t EventTimeNs(EventId event) override { return below_.EventTimeNs(event); }
  std::optional<std::int64_t> EventKernelNs(EventId event) override { return below_.EventKernelNs(event); }

  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    return below_.Copy(runs, direction, stream);
  }
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    return below_.Fill(base, value, bytes, stream);
  }
  Status Launch(Stream stream, HostKernel kernel) override { return below_.Launch(stream, std::move(kernel)); }
  Status EnqueueNative(absl::FunctionRef<Status()> enqueue) override { return below_.EnqueueNative(enqueue); }

  Status BeginCapture(Stream stream) override { return below_.BeginCapture(stream); }
  StatusOr<GraphId> EndCapture(Stream stream) override { return below_.EndCapture(stream); }
  bool InCapture(Stream stream) const override { return below_.InCapture(stream); }
  Status LaunchGraph(GraphId graph, Stream stream) override { return below_.LaunchGraph(graph, stream); }
  Status DestroyGraph(GraphId graph) override { return below_.DestroyGraph(graph); }

  std::uint64_t CopiedBytes(CopyDirection direction) const override { return below_.CopiedBytes(direction); }
  std::uint64_t host_waits() const override { return below_.host_waits(); }
  Status health() const override { return below_.health(); }

 protected:
  // REQUIRES: `below` outlives it.
  explicit ForwardingDevice(DeviceBackend& below) : below_(below) {}
  DeviceBackend& below() const { return below_; }

 private:
  DeviceBackend& below_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FORWARDING_DEVICE_H_
