#include "storage/buffer.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tierlib {

struct DeviceBuffer::Return : public Deferred::Work {
  explicit Return(const std::shared_ptr<DeviceAllocator>& to) : allocator(to) {}
  void Run() override { allocator->deallocate(data, bytes, last); }

  const std::shared_ptr<DeviceAllocator> allocator;
  void* data = nullptr;
  std::uint64_t bytes = 0;
  Stream last;
};

DeviceBuffer::DeviceBuffer(BlockPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes, trace::Tag tag)
    : pool_(&pool), data_(data), origin_(origin), bytes_(bytes), tag_(tag) {}

DeviceBuffer::DeviceBuffer(DirectPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes, trace::Tag tag)
    : direct_(&pool), data_(data), origin_(origin), bytes_(bytes), tag_(tag) {}

DeviceBuffer::DeviceBuffer(std::shared_ptr<DeviceAllocator> allocator, EventPool& events, Deferred& deferred,
                           void* data, std::uint64_t origin, std::uint64_t bytes)
    : return_(std::make_unique<Return>(allocator)),
      events_(&events),
      deferred_(&deferred),
      data_(data),
      origin_(origin),
      bytes_(bytes) {}

DeviceBuffer::DeviceBuffer(Keepalive&& keepalive, KeepaliveQueue& keepalives, Stream home, void* data,
                           std::uint64_t bytes, std::shared_ptr<StreamSet> readers)
    : held_(keepalive == nullptr ? nullptr : KeepaliveQueue::Held::Of(std::move(keepalive))),
      keepalives_(&keepalives),
      home_(home),
      data_(data),
      origin_(0),
      bytes_(bytes),
      readers_(std::move(readers)) {}

DeviceBuffer::~DeviceBuffer() {
  if (pool_ != nullptr && former_ != nullptr && former_.use_count() > 1) {
    former_->ticket_ = pool_->FreeWithBytes(data_, streams_.Last());
  } else if (pool_ != nullptr) {
    pool_->Free(data_, streams_.Last());
  } else if (direct_ != nullptr) {
    direct_->Free(data_, streams_.Last());
  } else if (return_ != nullptr) {
    ReturnToAllocator();
  } else if (held_ != nullptr) {
    streams_.Remove(home_);
    keepalives_->DropAfter(std::move(held_), streams_.Last());
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
  const absl::Span<const Stream> streams = streams_.Last();
  const Stream last = streams.empty() ? Stream{} : streams.back();
  for (const Stream stream : streams) events_->Order(last, stream);
  return_->data = data_;
  return_->bytes = bytes_;
  return_->last = last;
  deferred_->Later(std::move(return_));
}

HostBuffer::~HostBuffer() { pool_.Free(data_, streams_.Last()); }

}  // namespace tierlib
