#include "autograd/upload_buffers.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace tierlib::autograd {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSlotBytes = 64 * 1024;
constexpr std::size_t kSlots = 16;

}  // namespace

UploadBuffers::~UploadBuffers() {
  MutexLock lock(mutex_);
  for (const Buffer& buffer : used_) {
    (void)device_.SynchronizeEvent(buffer.copied);
    Destroy(buffer);
  }
  if (slab_ != nullptr) Unpin(slab_, kSlots * kSlotBytes);
}

Status UploadBuffers::Copy(void* to, const void* data, std::size_t bytes) {
  if (bytes == 0) return OkStatus();
  MutexLock lock(mutex_);
  TIERLIB_ASSIGN_OR_RETURN(const Buffer buffer, Take(bytes));
  std::memcpy(buffer.memory, data, bytes);
  const CopyRun run{to, buffer.memory, bytes};
  Status status = device_.Copy(absl::MakeConstSpan(&run, 1), CopyDirection::kHostToDevice, stream_);
  if (status.ok()) status = device_.RecordEvent(buffer.copied, stream_);
  if (!status.ok()) {  // whether the copy runs is not known
    (void)device_.SynchronizeStream(stream_);
    Destroy(buffer);
    return status;
  }
  used_.push_back(buffer);
  return OkStatus();
}

StatusOr<UploadBuffers::Buffer> UploadBuffers::Take(std::size_t bytes) {
  for (auto at = used_.begin(); at != used_.end(); ++at) {
    if (at->bytes < bytes) continue;
    TIERLIB_ASSIGN_OR_RETURN(const bool ended, device_.EventDone(at->copied));
    if (!ended) break;  // nor have later ones
    const Buffer buffer = *at;
    used_.erase(at);
    return buffer;
  }
  if (used_.size() == kMostBuffers) {
    const Buffer oldest = used_.front();
    TIERLIB_RETURN_IF_ERROR(device_.SynchronizeEvent(oldest.copied));
    used_.erase(used_.begin());
    if (oldest.bytes >= bytes) return oldest;
    Destroy(oldest);
  }
  return Make(bytes);
}

StatusOr<UploadBuffers::Buffer> UploadBuffers::Make(std::size_t bytes) {
  Buffer buffer;
  buffer.in_slab = bytes <= kSlotBytes && cut_ < kSlots;
  if (buffer.in_slab) {
    if (slab_ == nullptr) {
      TIERLIB_ASSIGN_OR_RETURN(slab_, Pin(kSlots * kSlotBytes));
    }
    buffer.bytes = kSlotBytes;
    buffer.memory = slab_ + cut_ * kSlotBytes;
  } else {
    buffer.bytes = (bytes + kPage - 1) / kPage * kPage;
    TIERLIB_ASSIGN_OR_RETURN(buffer.memory, Pin(buffer.bytes));
  }
  StatusOr<EventId> event = device_.CreateEvent();
  if (!event.ok()) {
    if (!buffer.in_slab) Unpin(buffer.memory, buffer.bytes);
    return event.status();
  }
  buffer.copied = *event;
  if (buffer.in_slab) ++cut_;
  return buffer;
}

StatusOr<std::byte*> UploadBuffers::Pin(std::size_t bytes) {
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(kPage, bytes));
  if (memory == nullptr) {
    return ResourceExhaustedError("no " + std::to_string(bytes) + " bytes of host memory for an upload");
  }
  const Status pinned = device_.PinHost(memory, bytes);
  if (pinned.ok()) return memory;
  std::free(memory);
  return pinned;
}

void UploadBuffers::Unpin(std::byte* memory, std::size_t bytes) {
  (void)device_.UnpinHost(memory, bytes);
  std::free(memory);
}

void UploadBuffers::Destroy(const Buffer& buffer) {
  device_.DestroyEvent(buffer.copied);
  if (!buffer.in_slab) Unpin(buffer.memory, buffer.bytes);
}

std::size_t UploadBuffers::buffers() const {
  MutexLock lock(mutex_);
  return used_.size();
}

}  // namespace tierlib::autograd
