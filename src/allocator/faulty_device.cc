#include "allocator/faulty_device.h"

#include <atomic>
#include <utility>

#include "allocator/forwarding_device.h"
#include "allocator/late_events.h"

namespace tierlib {
namespace {

class FaultyDevice : public ForwardingDevice {
 public:
  FaultyDevice(std::unique_ptr<DeviceBackend> device, std::shared_ptr<Faults> faults)
      : ForwardingDevice(*device), faults_(std::move(faults)), late_(*faults_), device_(std::move(device)) {}

  // --- Memory -------------------------------------------------------------------------------------------------------
  StatusOr<void*> Reserve(std::size_t bytes) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kReserve));
    StatusOr<void*> reserved = device_->Reserve(bytes);
    if (reserved.ok()) faults_->Made(FaultPoint::kReserve);
    return reserved;
  }
  Status ReserveAt(void* base, std::size_t bytes) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kReserve));
    TIERLIB_RETURN_IF_ERROR(device_->ReserveAt(base, bytes));
    faults_->Made(FaultPoint::kReserve);
    return OkStatus();
  }
  Status Release(void* base, std::size_t bytes) override {
    return GaveBack(FaultPoint::kReserve, device_->Release(base, bytes));
  }
  Status PinHost(void* base, std::size_t bytes) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kPin));
    TIERLIB_RETURN_IF_ERROR(device_->PinHost(base, bytes));
    faults_->Made(FaultPoint::kPin);
    return OkStatus();
  }
  Status UnpinHost(void* base, std::size_t bytes) override {
    return GaveBack(FaultPoint::kPin, device_->UnpinHost(base, bytes));
  }

  // --- Memory in stream order ---------------------------------------------------------------------------------------
  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kReserve));
    StatusOr<void*> block = device_->AllocateInOrder(bytes, stream);
    if (block.ok()) faults_->Made(FaultPoint::kReserve);
    return block;
  }
  Status FreeInOrder(void* block, Stream stream) override {
    return GaveBack(FaultPoint::kReserve, device_->FreeInOrder(block, stream));
  }

  // --- Streams ------------------------------------------------------------------------------------------------------
  StatusOr<Stream> CreateStream(std::string_view name) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kCreateStream));
    StatusOr<Stream> stream = device_->CreateStream(name);
    if (stream.ok()) faults_->Made(FaultPoint::kCreateStream);
    return stream;
  }
  Status DestroyStream(Stream stream) override {
    return GaveBack(FaultPoint::kCreateStream, Settling(stream, [&] { return device_->DestroyStream(stream); }));
  }
  Status SynchronizeStream(Stream stream) override {
    return Settling(stream, [&] { return device_->SynchronizeStream(stream); });
  }
  Status Synchronize() override {
    if (!faults_->delays_events()) return device_->Synchronize();
    const LateEvents::Clock before = late_.Everything();
    TIERLIB_RETURN_IF_ERROR(device_->Synchronize());
    late_.Settle(before);
    return OkStatus();
  }

  // --- Events -------------------------------------------------------------------------------------------------------
  StatusOr<EventId> CreateEvent() override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kCreateEvent));
    StatusOr<EventId> event = device_->CreateEvent();
    if (event.ok()) faults_->Made(FaultPoint::kCreateEvent);
    return event;
  }
  // REQUIRES: an event that exists, otherwise outstanding() is one too few.
  void DestroyEvent(EventId event) override {
    late_.Destroyed(event);
    device_->DestroyEvent(event);
    faults_->GaveBack(FaultPoint::kCreateEvent);
  }
  Status RecordEvent(EventId event, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kRecordEvent));
    TIERLIB_RETURN_IF_ERROR(device_->RecordEvent(event, stream));
    // Where nothing is late, it is complete as soon as the device says so; of one in a capture nobody may ask.
    const bool late = faults_->delays_events() && !device_->InCapture(stream);
    late ? late_.Recorded(event, stream) : late_.Destroyed(event);
    return OkStatus();
  }
  Status WaitEvent(Stream stream, EventId event) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kWaitEvent));
    TIERLIB_RETURN_IF_ERROR(device_->WaitEvent(stream, event));
    if (faults_->delays_events() && !device_->InCapture(stream)) late_.Waits(stream, event);
    return OkStatus();
  }
  StatusOr<bool> EventDone(EventId event) override {
    faults_->Asked();
    TIERLIB_ASSIGN_OR_RETURN(const bool done, device_->EventDone(event));
    return done && (!faults_->delays_events() || late_.Say(event));
  }
  Status SynchronizeEvent(EventId event) override {
    return Settling(event, [&] { return device_->SynchronizeEvent(event); });
  }

  // --- Work ---------------------------------------------------------------------------------------------------------
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kCopy));
    return device_->Copy(runs, direction, stream);
  }
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kLaunch));
    return device_->Fill(base, value, bytes, stream);
  }
  Status Launch(Stream stream, HostKernel kernel) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kLaunch));
    return device_->Launch(stream, std::move(kernel));
  }
  Status EnqueueNative(absl::FunctionRef<Status()> enqueue) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kLaunch));
    return device_->EnqueueNative(enqueue);
  }

  // --- Captured graphs ----------------------------------------------------------------------------------------------
  Status BeginCapture(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kLaunch));
    return device_->BeginCapture(stream);
  }
  Status LaunchGraph(GraphId graph, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(faults_->Call(FaultPoint::kLaunch));
    return device_->LaunchGraph(graph, stream);
  }

 private:
  Status GaveBack(FaultPoint point, Status status) {
    if (status.ok()) faults_->GaveBack(point);
    return status;
  }
  // Waits for what comes before an event or the end of a stream: that is complete afterwards, late or not.
  template <typename End, typename Wait>
  Status Settling(End end, Wait wait) {
    if (!faults_->delays_events()) return wait();
    const LateEvents::Clock before = late_.Before(end);
    TIERLIB_RETURN_IF_ERROR(wait());
    late_.Settle(before);
    return OkStatus();
  }

  const std::shared_ptr<Faults> faults_;
  LateEvents late_;
  const std::unique_ptr<DeviceBackend> device_;
};

}  // namespace

std::unique_ptr<DeviceBackend> MakeFaultyDevice(std::unique_ptr<DeviceBackend> device, std::shared_ptr<Faults> faults) {
  return std::make_unique<FaultyDevice>(std::move(device), std::move(faults));
}

}  // namespace tierlib
