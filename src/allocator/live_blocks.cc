#include "allocator/live_blocks.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"

namespace tierlib {

bool LiveBlocks::Prepare(std::size_t end) {
  if (starts_.size() == room_) {
    const std::size_t room = std::max<std::size_t>(64, 2 * room_);
    try {
      starts_.reserve(room);
    } catch (const std::bad_alloc&) {
      return false;
    }
    room_ = room;
  }
  return made_ == nullptr || (made_->Cover(end) && made_->Prepare());
}

void LiveBlocks::Add(Block* block) {
  block->owner = 0;
  starts_.emplace(block->offset, block);
  if (made_ != nullptr) made_->Add(block->offset, block->bytes, block->tag, block);
}

Block* LiveBlocks::Remove(std::size_t offset) {
  const auto found = starts_.find(offset);
  if (found == starts_.end()) return nullptr;
  Block* const block = found->second;
  starts_.erase(found);
  if (made_ != nullptr) made_->Remove(offset);
  return block;
}

Block* LiveBlocks::At(std::size_t offset) const {
  const auto found = starts_.find(offset);
  return found == starts_.end() ? nullptr : found->second;
}

void LiveBlocks::SetOwner(Block* block, std::uint64_t owner) {
  block->owner = owner;
  if (made_ != nullptr) made_->SetOwner(block->offset, owner);
}

void LiveBlocks::SetTag(Block* block, trace::Tag tag) {
  if (made_ != nullptr && !made_->Prepare()) return;
  block->tag = tag;
  if (made_ == nullptr) return;
  made_->Remove(block->offset);
  made_->Add(block->offset, block->bytes, tag, block);
  if (block->owner != 0) made_->SetOwner(block->offset, block->owner);
}

bool LiveBlocks::Map() {
  if (made_ != nullptr) return true;
  try {
    auto map = std::make_unique<AddressMap>(capacity_, unit_);
    if (!AddAll(*map)) return false;
    made_ = std::move(map);
  } catch (const std::bad_alloc&) {
    return false;
  }
  map_.store(made_.get(), std::memory_order_release);
  return true;
}

bool LiveBlocks::AddAll(AddressMap& map) const {
  for (const auto& [offset, block] : starts_) {
    if (!map.Cover(offset + block->bytes) || !map.Prepare()) return false;
    map.Add(offset, block->bytes, block->tag, block);
    if (block->owner != 0) map.SetOwner(offset, block->owner);
  }
  return true;
}

void LiveBlocks::CheckInvariants() const {
  if (made_ == nullptr) return;
  made_->CheckInvariants();
  TIERLIB_CHECK(made_->size() == starts_.size(), "LiveBlocks I1: the map has more or fewer blocks");
  for (const auto& [offset, block] : starts_) {
    AddressMap::Found last;
    TIERLIB_CHECK(made_->Find(offset + block->bytes - 1, &last) && last.offset == offset &&
                      last.bytes == block->bytes && last.tag == block->tag && last.owner == block->owner,
                  "LiveBlocks I1: the map has another block");
  }
}

}  // namespace tierlib
