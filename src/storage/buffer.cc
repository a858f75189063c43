#include "storage/buffer.h"

#include <algorithm>
#include <utility>

namespace tierlib {

DeviceBuffer::DeviceBuffer(BlockPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes, trace::Tag tag)
    : pool_(&pool), data_(data), origin_(origin), bytes_(bytes), tag_(tag) {}

DeviceBuffer::DeviceBuffer(DirectPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes, trace::Tag tag)
    : direct_(&pool), data_(data), origin_(origin), bytes_(bytes), tag_(tag) {}

DeviceBuffer::DeviceBuffer(std::shared_ptr<DeviceAllocator> allocator, EventPool& events, Deferred& deferred,
                           void* data, std::uint64_t origin, std::uint64_t bytes)
    : allocator_(std::move(allocator)),
      events_(&events),
      deferred_(&deferred),
      data_(data),
      origin_(origin),
      bytes_(bytes) {}

DeviceBuffer::DeviceBuffer(Keepalive keepalive, KeepaliveQueue& keepalives, Stream home, void* data,
                           std::uint64_t bytes, std::shared_ptr<StreamSet> readers)
    : keepalive_(std::move(keepalive)),
      keepalives_(&keepalives),
      home_(home),
      data_(data),
      origin_(0),
      bytes_(bytes),
      readers_(std::move(readers)) {}

DeviceBuffer::~DeviceBuffer() {
  if (pool_ != nullptr) {
    pool_->Free(data_, streams_.Get());
  } else if (direct_ != nullptr) {
    direct_->Free(data_, streams_.Get());
  } else if (allocator_ != nullptr) {
    ReturnToAllocator();
  } else if (keepalive_ != nullptr) {
    auto readers = streams_.Get();
    readers.erase(std::remove(readers.begin(), readers.end(), home_), readers.end());
    keepalives_->DropAfter(std::move(keepalive_), readers);
  }
}

void DeviceBuffer::ReturnToAllocator() {
  // The allocator orders the memory's next use after one stream: let that one wait for the others.
  const auto streams = streams_.Get();
  const Stream last = streams.empty() ? Stream{} : streams.back();
  for (Stream stream : streams) {
    if (const MarkRef mark = events_->MarkOrWait(stream)) (void)events_->WaitOn(last, *mark);
  }
  deferred_->Later(
      [allocator = allocator_, data = data_, bytes = bytes_, last] { allocator->deallocate(data, bytes, last); });
}

HostBuffer::~HostBuffer() { pool_.Free(data_, streams_.Get()); }

}  // namespace tierlib
