// BlockPool: blocks that were freed and are wanted back before anybody else had their memory.
#include "allocator/block_pool.h"
#include "allocator/block_pool_state.h"

namespace tierlib {

std::uint64_t BlockPool::FreeWithBytes(void* block, absl::Span<const Stream> streams) {
  if (state_->hardening == nullptr) return FreeBlock(block, streams, /*with_bytes=*/true);
  state_->hardening->Free(block, streams);
  return 0;
}

bool BlockPool::TakeBack(void* address, std::uint64_t ticket, trace::Tag tag) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  const std::size_t offset = s.OffsetOf(address);
  const FreedBlocks::Freed* const freed = s.freed.Find(offset, ticket);
  if (freed == nullptr) return false;
  const auto [bytes, asked, _] = *freed;
  State::TagRoom room(s, tag, bytes);
  if (!room) return false;
  if (!s.live_blocks.Prepare(offset + bytes) || !s.blocks.Prepare() || !s.age.Prepare(offset + bytes)) return false;
  Block* const hole = s.blocks.HoleAt(offset);
  s.HandOut(hole != nullptr ? s.blocks.CarveAt(hole, offset, bytes) : s.blocks.AppendAt(offset, bytes), asked, tag,
            /*streams=*/0);
  room.Keep();
  return true;
}

bool BlockPool::MayTakeBack(const void* block, std::uint64_t ticket) const {
  MutexLock lock(state_->mutex);
  return state_->freed.Find(state_->OffsetOf(block), ticket) != nullptr;
}

void BlockPool::ForgetFreed(const void* block, std::uint64_t ticket) {
  MutexLock lock(state_->mutex);
  state_->freed.Remove(state_->OffsetOf(block), ticket);
}

}  // namespace tierlib
