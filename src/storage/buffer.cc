#include "storage/buffer.h"

#include <algorithm>
#include <new>
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
  if (pool_ != nullptr && former_ != nullptr && former_.use_count() > 1) {
    former_->ticket_ = pool_->FreeWithBytes(data_, streams_.Get());
  } else if (pool_ != nullptr) {
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

const std::shared_ptr<FormerBlock>& DeviceBuffer::Former() {
  if (former_ == nullptr && pool_ != nullptr) former_ = std::make_shared<FormerBlock>(*pool_, data_, origin_, bytes_);
  return former_;
}

FormerBlock::~FormerBlock() {
  if (ticket_ != 0) pool_.ForgetFreed(data_, ticket_);
}

bool FormerBlock::may_come_back() const { return ticket_ != 0 && pool_.MayTakeBack(data_, ticket_); }

std::unique_ptr<DeviceBuffer> FormerBlock::TakeBack(trace::Tag tag) {
  const std::uint64_t ticket = ticket_.exchange(0);
  if (ticket == 0) return nullptr;
  if (!pool_.TakeBack(data_, ticket, tag)) {
    ticket_ = ticket;  // where a tag's limit was in the way it may come back later
    return nullptr;
  }
  std::unique_ptr<DeviceBuffer> buffer(new (std::nothrow) DeviceBuffer(pool_, data_, origin_, bytes_, tag));
  if (buffer == nullptr) {
    pool_.Free(data_, {});
    throw std::bad_alloc();
  }
  buffer->former_ = shared_from_this();
  return buffer;
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
