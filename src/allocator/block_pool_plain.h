// BlockPool::Plain: a pool without its hardened mode.
#ifndef TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_PLAIN_H_
#define TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_PLAIN_H_

#include <cstddef>

#include "allocator/block_pool.h"
#include "allocator/block_pool_state.h"
#include "allocator/plain_blocks.h"

namespace tierlib {

class BlockPool::Plain : public PlainBlocks {
 public:
  explicit Plain(BlockPool& pool) : pool_(pool) {}

  Tier tier() const override { return pool_.tier(); }
  const std::byte* base() const override { return pool_.state_->source.base(); }
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment) override {
    return pool_.AllocateBlock(bytes, stream, tag, alignment);
  }
  void Free(void* block, absl::Span<const Stream> streams) override { (void)pool_.FreeBlock(block, streams); }
  void Book(const void* block, std::size_t asked, trace::Tag tag) override { pool_.Book(block, asked, tag); }
  std::size_t BlockBytes(const void* block) const override { return pool_.PlainBlockBytes(block); }
  void Require(const char* use, const void* block) const override { pool_.Require(use, block); }
  std::size_t LargestFree() const override { return pool_.LargestFreeBlock(); }
  std::size_t live_blocks() const override {
    MutexLock lock(pool_.state_->mutex);
    return pool_.state_->accounts.total().blocks;
  }

 private:
  BlockPool& pool_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_PLAIN_H_
