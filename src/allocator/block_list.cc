#include "allocator/block_list.h"

#include "base/check.h"

namespace tierlib {

Block* BlockList::TakeNode() {
  if (spare_.empty()) return &nodes_.emplace_back();
  Block* node = spare_.back();
  spare_.pop_back();
  node->next = nullptr;
  node->live = false;
  return node;
}

Block* BlockList::CutBehind(Block* block, std::size_t bytes) {
  Block* rest = TakeNode();
  rest->offset = block->offset + bytes;
  rest->bytes = block->bytes - bytes;
  StreamClocks::Assign(rest->stamp, block->stamp);
  rest->previous = block;
  rest->next = block->next;
  rest->next->previous = rest;  // a hole is never the last block
  block->next = rest;
  block->bytes = bytes;
  return rest;
}

Block* BlockList::CarveAt(Block* hole, std::size_t offset, std::size_t bytes) {
  const std::size_t front = offset - hole->offset;
  Block* block = hole;
  if (front > 0) {
    block = CutBehind(hole, front);
    holes_.Update(hole);
  }
  if (block->bytes > bytes) {
    Block* rest = CutBehind(block, bytes);
    front > 0 ? holes_.Add(rest) : holes_.Replace(hole, rest);
  } else if (front == 0) {
    holes_.Remove(hole);
  }
  block->live = true;
  return block;
}

Block* BlockList::AppendAt(std::size_t offset, std::size_t bytes) {
  const auto add = [this](std::size_t size) {
    Block* block = TakeNode();
    block->offset = extent_;
    block->bytes = size;
    StreamClocks::Assign(block->stamp, unused_stamp_);
    block->previous = last_;
    if (last_ != nullptr) last_->next = block;
    last_ = block;
    extent_ += size;
    return block;
  };
  if (offset > extent_) {
    Block* gap = add(offset - extent_);
    holes_.Add(gap);
  }
  Block* block = add(bytes);
  block->live = true;
  return block;
}

void BlockList::JoinNext(Block* block) {
  Block* next = block->next;
  block->bytes += next->bytes;
  StreamClocks::Join(block->stamp, next->stamp);
  block->next = next->next;
  if (block->next != nullptr) block->next->previous = block;
  if (last_ == next) last_ = block;
  spare_.push_back(next);
}

void BlockList::GiveBack(Block* block) {
  block->live = false;
  Block* const previous = block->previous != nullptr && !block->previous->live ? block->previous : nullptr;
  Block* const next = block->next != nullptr && !block->next->live ? block->next : nullptr;
  if (previous != nullptr && next != nullptr) holes_.Remove(next);
  if (next != nullptr) JoinNext(block);
  if (previous != nullptr) JoinNext(block = previous);
  if (block == last_) {  // so there was no hole behind it
    if (previous != nullptr) holes_.Remove(previous);
    StreamClocks::Join(unused_stamp_, block->stamp);
    extent_ = block->offset;
    last_ = block->previous;
    if (last_ != nullptr) last_->next = nullptr;
    spare_.push_back(block);
  } else if (previous != nullptr) {
    holes_.Update(block);
  } else if (next != nullptr) {
    holes_.Replace(next, block);
  } else {
    holes_.Add(block);
  }
}

void BlockList::CheckInvariants() const {
  std::size_t hole_count = 0;
  std::size_t end = extent_;
  const Block* next = nullptr;
  for (const Block* block = last_; block != nullptr; next = block, block = block->previous) {
    TIERLIB_CHECK(block->offset + block->bytes == end, "BlockList I1: a gap or an overlap");
    TIERLIB_CHECK(block->bytes > 0 && block->bytes % unit_ == 0, "BlockList I1: a block of no whole units");
    TIERLIB_CHECK(block->next == next, "BlockList I1: the list is broken");
    TIERLIB_CHECK(block->live || (next != nullptr && next->live), "BlockList I2: free neighbours");
    if (!block->live) {
      TIERLIB_CHECK(block->leaf != nullptr, "BlockList I3: a hole is not listed");
      ++hole_count;
    }
    end = block->offset;
  }
  TIERLIB_CHECK(end == 0, "BlockList I1: the first block does not start at the base");
  TIERLIB_CHECK(hole_count == holes_.size(), "BlockList I3: a hole is listed that is none");
  holes_.CheckInvariants();
}

}  // namespace tierlib
