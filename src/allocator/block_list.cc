#include "allocator/block_list.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace tierlib {

bool BlockList::MakeNodes() {
  constexpr std::size_t kNodes = 64;
  const std::size_t made = nodes_.size();
  try {
    if (made + kNodes > room_) {
      const std::size_t room = std::max(made + kNodes, 2 * room_);
      spare_.reserve(room);
      unsettled_.reserve(room);
      if (!holes_.Reserve(room / 2 + 1)) return false;
      room_ = room;
    }
    while (nodes_.size() < made + kNodes) nodes_.emplace_back();
  } catch (const std::bad_alloc&) {  // fewer may do
  }
  // The lowest address is taken first: what is handed out in a row lies in a row.
  for (std::size_t i = nodes_.size(); i > made; --i) spare_.push_back(&nodes_[i - 1]);
  return spare_.size() >= kNodesForOne;
}

void BlockList::MakeRoomForStamps(const StreamClocks::Stamp& stamp) {
  for (std::size_t i = 1; i <= kNodesForOne; ++i) spare_[spare_.size() - i]->stamp.reserve(stamp.size());
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
  if (block->unsettled) NoteUnsettled(rest);
  return rest;
}

Block* BlockList::CarveAt(Block* hole, std::size_t offset, std::size_t bytes) {
  const std::size_t front = offset - hole->offset;
  if (hole->stamp.size() > StreamClocks::kInStamp) MakeRoomForStamps(hole->stamp);
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
  if (unused_stamp_.size() > StreamClocks::kInStamp) MakeRoomForStamps(unused_stamp_);
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
    NoteUnsettled(gap);
  }
  Block* block = add(bytes);
  block->live = true;
  return block;
}

void BlockList::JoinNext(Block* block) {
  Block* next = block->next;
  block->bytes += next->bytes;
  StreamClocks::JoinLast(block->stamp, next->stamp);
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
    StreamClocks::JoinLast(unused_stamp_, block->stamp);
    extent_ = block->offset;
    last_ = block->previous;
    if (last_ != nullptr) last_->next = nullptr;
    spare_.push_back(block);
    return;
  }
  NoteUnsettled(block);
  if (previous != nullptr) {
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
  std::size_t unsettled = 0;
  for (const Block& node : nodes_) unsettled += node.unsettled ? 1 : 0;
  for (const Block* const block : unsettled_) {
    TIERLIB_CHECK(block->unsettled, "BlockList I5: a block is listed as unsettled that is not");
  }
  TIERLIB_CHECK(unsettled == unsettled_.size(), "BlockList I5: an unsettled block is not listed once");
  TIERLIB_CHECK(unsettled_.capacity() >= nodes_.size(), "BlockList I4: no room for unsettled blocks");
  holes_.CheckInvariants();
}

}  // namespace tierlib
