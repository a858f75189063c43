#include "allocator/freed_blocks.h"

#include <iterator>
#include <new>

namespace tierlib {

std::uint64_t FreedBlocks::Add(std::size_t offset, std::size_t bytes, std::size_t asked) {
  try {
    blocks_[offset] = {bytes, asked, next_ticket_};
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return next_ticket_++;
}

const FreedBlocks::Freed* FreedBlocks::Find(std::size_t offset, std::uint64_t ticket) const {
  const auto found = blocks_.find(offset);
  return found == blocks_.end() || found->second.ticket != ticket ? nullptr : &found->second;
}

void FreedBlocks::Remove(std::size_t offset, std::uint64_t ticket) {
  const auto found = blocks_.find(offset);
  if (found != blocks_.end() && found->second.ticket == ticket) blocks_.erase(found);
}

void FreedBlocks::EraseOverlaps(std::size_t offset, std::size_t bytes) {
  auto first = blocks_.lower_bound(offset);
  if (first != blocks_.begin()) {
    const auto before = std::prev(first);
    if (before->first + before->second.bytes > offset) first = before;
  }
  blocks_.erase(first, blocks_.lower_bound(offset + bytes));
}

}  // namespace tierlib
