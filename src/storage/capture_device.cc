#include "storage/capture_device.h"

#include <algorithm>
#include <string>
#include <utility>

namespace tierlib {

CaptureDevice::CaptureDevice(DeviceBackend& device, std::uint64_t capacity, std::shared_ptr<void> memory)
    : device_(device), info_(device.info()), memory_(std::move(memory)) {
  info_.capacity = capacity;
  info_.reserves_at = false;
}

std::vector<Stream> CaptureDevice::streams() const {
  MutexLock lock(mutex_);
  return streams_;
}

Status CaptureDevice::CheckCapturing(const char* call) const {
  if (capturing()) return OkStatus();
  return FailedPreconditionError(std::string(call) + ": the capture of this step has ended");
}

Status CaptureDevice::CheckOver(const char* call) const {
  if (phase_.load() == Phase::kOver) return OkStatus();
  return FailedPreconditionError(std::string(call) +
                                 ": captured work is not waited for, as it runs when it is launched");
}

// --- memory: the pools are given theirs ------------------------------------------------------------------------------

StatusOr<void*> CaptureDevice::Reserve(std::size_t) { return Status(StatusCode::kResourceExhausted); }
Status CaptureDevice::Release(void*, std::size_t) {
  return InvalidArgumentError("a captured step has reserved no memory of the device");
}
void CaptureDevice::NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) {
  if (capturing()) device_.NoteBlock(base, bytes, live, stream);
}
Status CaptureDevice::PinHost(void*, std::size_t) { return Status(StatusCode::kResourceExhausted); }
Status CaptureDevice::UnpinHost(void*, std::size_t) {
  return InvalidArgumentError("a captured step has registered no memory of the host");
}

// --- streams and events ----------------------------------------------------------------------------------------------

StatusOr<Stream> CaptureDevice::CreateStream(std::string_view name) {
  TIERLIB_ASSIGN_OR_RETURN(const Stream stream, device_.CreateStream(name));
  MutexLock lock(mutex_);
  streams_.push_back(stream);
  return stream;
}

Status CaptureDevice::DestroyStream(Stream stream) {
  {
    MutexLock lock(mutex_);
    streams_.erase(std::remove(streams_.begin(), streams_.end(), stream), streams_.end());
  }
  return device_.DestroyStream(stream);
}

Status CaptureDevice::SynchronizeStream(Stream) {
  if (capturing()) spoilt_.store(true);  // callers that have no other way go on all the same
  return CheckOver("SynchronizeStream");
}
Status CaptureDevice::Synchronize() { return CheckOver("Synchronize"); }
Status CaptureDevice::SynchronizeEvent(EventId) { return CheckOver("SynchronizeEvent"); }

// What is given back after the capture waits for nothing.
Status CaptureDevice::RecordEvent(EventId event, Stream stream) {
  return capturing() ? device_.RecordEvent(event, stream) : OkStatus();
}
Status CaptureDevice::WaitEvent(Stream stream, EventId event) {
  return capturing() ? device_.WaitEvent(stream, event) : OkStatus();
}
StatusOr<bool> CaptureDevice::EventDone(EventId) { return phase_.load() == Phase::kOver; }

// --- work ------------------------------------------------------------------------------------------------------------

Status CaptureDevice::Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(CheckCapturing("Copy"));
  return device_.Copy(runs, direction, stream);
}
Status CaptureDevice::Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(CheckCapturing("Fill"));
  return device_.Fill(base, value, bytes, stream);
}
Status CaptureDevice::Launch(Stream stream, HostKernel kernel) {
  TIERLIB_RETURN_IF_ERROR(CheckCapturing("Launch"));
  return device_.Launch(stream, std::move(kernel));
}
Status CaptureDevice::EnqueueNative(absl::FunctionRef<Status()> enqueue) {
  TIERLIB_RETURN_IF_ERROR(CheckCapturing("EnqueueNative"));
  return device_.EnqueueNative(enqueue);
}

}  // namespace tierlib
