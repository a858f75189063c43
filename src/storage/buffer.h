// DeviceBuffer and HostBuffer: blocks of memory that are given back, in stream order, when their last reference is
// dropped.
#ifndef TIERLIB_SRC_STORAGE_BUFFER_H_
#define TIERLIB_SRC_STORAGE_BUFFER_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/block_pool.h"
#include "base/mutex.h"
#include "storage/deferred.h"
#include "storage/direct_pool.h"
#include "storage/event_pool.h"
#include "storage/keepalive_queue.h"
#include "tierlib/options.h"
#include "tierlib/storage_id.h"
#include "tierlib/stream.h"

namespace tierlib {

// The streams whose work uses a block. Thread-safety: all functions lock.
class StreamSet {
 public:
  void Add(Stream stream) {
    MutexLock lock(mutex_);
    for (Stream known : streams_) {
      if (known == stream) return;
    }
    streams_.push_back(stream);
  }
  void Remove(Stream stream) {
    MutexLock lock(mutex_);
    streams_.erase(std::remove(streams_.begin(), streams_.end(), stream), streams_.end());
  }
  absl::InlinedVector<Stream, 4> Get() const {
    MutexLock lock(mutex_);
    return streams_;
  }
  // The same without a copy. REQUIRES: nobody adds or removes any more.
  absl::Span<const Stream> Last() const {
    MutexLock lock(mutex_);
    return streams_;
  }

 private:
  mutable Mutex mutex_;
  absl::InlinedVector<Stream, 4> streams_ ABSL_GUARDED_BY(mutex_);
};

class DeviceBuffer;

// A block of a pool that a DeviceBuffer had, for those who may want its bytes again once it gave the block back. The
// pool, which outlives this, may hand the memory out to anybody meanwhile. Thread-safety: all functions are.
class FormerBlock : public std::enable_shared_from_this<FormerBlock> {
 public:
  FormerBlock(BlockPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes)
      : pool_(pool), data_(data), origin_(origin), bytes_(bytes) {}
  ~FormerBlock();
  FormerBlock(const FormerBlock&) = delete;
  FormerBlock& operator=(const FormerBlock&) = delete;

  // Whether TakeBack would give the block now.
  bool may_come_back() const;
  // The block as it was, booked under `tag`: its bytes may be read after the work that wrote them. Null where it was
  // not given back yet, or was handed out to others since. On std::bad_alloc it is free, and may come back no more.
  std::unique_ptr<DeviceBuffer> TakeBack(trace::Tag tag);

 private:
  friend class DeviceBuffer;
  BlockPool& pool_;
  void* const data_;
  const std::uint64_t origin_;
  const std::uint64_t bytes_;
  std::atomic<std::uint64_t> ticket_{0};  // of the pool, once the block was given back
};

// Bytes [origin, origin + bytes) of a storage on the device. Shared by the storage, its snapshots and the leases on it;
// its memory goes back to where it came from after the work enqueued on every stream that used it.
class DeviceBuffer {
 public:
  // A block of tierlib's pool, which outlives the buffer. `tag` is what the pool books it under.
  DeviceBuffer(BlockPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes,
               trace::Tag tag = trace::Tag::kNone);
  // One of the device's own allocator, likewise.
  DeviceBuffer(DirectPool& pool, void* data, std::uint64_t origin, std::uint64_t bytes, trace::Tag tag);
  // Memory of the program's own allocator. Given back through `deferred`. Throws std::bad_alloc, and so does the next
  // one: then the memory, or the keepalive, is still the caller's.
  DeviceBuffer(std::shared_ptr<DeviceAllocator> allocator, EventPool& events, Deferred& deferred, void* data,
               std::uint64_t origin, std::uint64_t bytes);
  // Memory that the program owns, held by its keepalive (may be null), which goes to `keepalives` at the end. UsedOn
  // names the streams that read it; a copy keeps the buffer itself. What reads it on `home` is not waited for: there
  // the program orders the memory's next use itself, as it does for tensors that it frees on that stream. `readers`,
  // where given, is told the streams in place of the buffer: whoever lets the memory go asks there.
  DeviceBuffer(Keepalive&& keepalive, KeepaliveQueue& keepalives, Stream home, void* data, std::uint64_t bytes,
               std::shared_ptr<StreamSet> readers = nullptr);
  ~DeviceBuffer();
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* data() const { return data_; }
  std::uint64_t origin() const { return origin_; }
  std::uint64_t bytes() const { return bytes_; }
  // Where byte 0 of the storage would lie.
  void* storage_base() const { return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(data_) - origin_); }
  void UsedOn(Stream stream) { (readers_ != nullptr ? *readers_ : streams_).Add(stream); }
  // A stream that is named has waited for all that `stream` did with the block, so nobody needs to wait for what else
  // `stream` does until the block is given back.
  void UseEndsBefore(Stream stream) { streams_.Remove(stream); }
  // The streams that use it so far.
  absl::InlinedVector<Stream, 4> streams() const { return streams_.Get(); }
  // Whose bytes they are, for those who ask about an address. Nothing where tierlib did not take the block.
  void SetOwner(StorageId storage) const {
    if (pool_ != nullptr) pool_->SetOwner(data_, storage.ToInteger());
    if (direct_ != nullptr) direct_->SetOwner(data_, storage.ToInteger());
  }

  // Blocks of a pool come back in stream order, so a copy may outlive the buffer; other memory must be kept by the
  // copy.
  bool stream_ordered() const { return pool_ != nullptr || direct_ != nullptr; }
  bool adopted() const { return !stream_ordered() && events_ == nullptr; }
  trace::Tag tag() const { return tag_; }
  bool has_keepalive() const { return held_ != nullptr; }
  // Who holds this when the buffer goes may take its block back. Null where it is not of a pool. Not synchronised.
  const std::shared_ptr<FormerBlock>& Former();

 private:
  struct Return;  // to the program's allocator
  void ReturnToAllocator();

  BlockPool* const pool_ = nullptr;
  DirectPool* const direct_ = nullptr;
  std::unique_ptr<Return> return_;              // made ahead: giving back needs no memory
  std::unique_ptr<KeepaliveQueue::Held> held_;  // likewise
  EventPool* const events_ = nullptr;           // of memory of the program's allocator, as the next one
  Deferred* const deferred_ = nullptr;
  KeepaliveQueue* const keepalives_ = nullptr;
  const Stream home_;
  void* const data_;
  const std::uint64_t origin_;
  const std::uint64_t bytes_;
  const trace::Tag tag_ = trace::Tag::kNone;
  StreamSet streams_;
  const std::shared_ptr<StreamSet> readers_;
  std::shared_ptr<FormerBlock> former_;
  friend class FormerBlock;
};

// A block of a host tier.
class HostBuffer {
 public:
  HostBuffer(BlockPool& pool, void* data, std::uint64_t bytes) : pool_(pool), data_(data), bytes_(bytes) {}
  ~HostBuffer();
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  void UsedOn(Stream stream) { streams_.Add(stream); }
  void SetOwner(StorageId storage) const { pool_.SetOwner(data_, storage.ToInteger()); }
  Tier tier() const { return pool_.tier(); }
  // Copies `bytes` bytes from `offset` on to `to`. DataLoss where a file cannot be read.
  Status Read(std::uint64_t offset, void* to, std::uint64_t bytes) const {
    return pool_.Read(static_cast<const char*>(data_) + offset, to, bytes);
  }

 private:
  BlockPool& pool_;
  void* const data_;
  const std::uint64_t bytes_;
  StreamSet streams_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_BUFFER_H_
