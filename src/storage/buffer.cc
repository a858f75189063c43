#include "storage/buffer.h"

#include <utility>

namespace tierlib {

DeviceBuffer::DeviceBuffer(BlockPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes)
    : pool_(&pool), data_(data), origin_(origin), bytes_(bytes) {}

DeviceBuffer::DeviceBuffer(std::shared_ptr<DeviceAllocator> allocator, EventPool& events, Deferred& deferred,
                           void* data, std::uint64_t origin, std::uint64_t bytes)
    : allocator_(std::move(allocator)),
      events_(&events),
      deferred_(&deferred),
      data_(data),
      origin_(origin),
      bytes_(bytes) {}

DeviceBuffer::DeviceBuffer(Keepalive keepalive, Deferred& deferred, void* data, std::uint64_t bytes)
    : keepalive_(std::move(keepalive)), deferred_(&deferred), data_(data), origin_(0), bytes_(bytes) {}

DeviceBuffer::~DeviceBuffer() {
  if (pool_ != nullptr) {
    pool_->Free(data_, streams_.Get());
  } else if (allocator_ != nullptr) {
    ReturnToAllocator();
  } else if (keepalive_ != nullptr) {
    deferred_->Later([keepalive = std::move(keepalive_)]() mutable { keepalive.reset(); });
  }
}

void DeviceBuffer::ReturnToAllocator() {
  // The allocator orders the memory's next use after one stream: let that one wait for the others.
  const auto streams = streams_.Get();
  const Stream last = streams.empty() ? Stream{} : streams.back();
  for (Stream stream : streams) {
    const StatusOr<MarkRef> mark = events_->MarkNow(stream);
    if (mark.ok()) (void)events_->WaitOn(last, **mark);
  }
  deferred_->Later(
      [allocator = allocator_, data = data_, bytes = bytes_, last] { allocator->deallocate(data, bytes, last); });
}

HostBuffer::~HostBuffer() { pool_.Free(data_, streams_.Get()); }

}  // namespace tierlib
