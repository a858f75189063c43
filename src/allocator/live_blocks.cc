#include "allocator/live_blocks.h"

#include <new>
#include <utility>

#include "base/check.h"

namespace tierlib {

bool LiveBlocks::Prepare(std::size_t end) {
  return starts_.Prepare() && (made_ == nullptr || (made_->Cover(end) && made_->Prepare()));
}

void LiveBlocks::Add(Block* block) {
  block->owner = 0;
  starts_.Insert(block->offset, block);
  if (made_ != nullptr) made_->Add(block->offset, block->bytes, block->tag, block);
}

Block* LiveBlocks::Remove(std::size_t offset) {
  Block* const block = starts_.Remove(offset);
  if (block != nullptr && made_ != nullptr) made_->Remove(offset);
  return block;
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
  bool added = true;
  starts_.ForEach([&](std::size_t offset, Block* block) {
    added = added && map.Cover(offset + block->bytes) && map.Prepare();
    if (!added) return;
    map.Add(offset, block->bytes, block->tag, block);
    if (block->owner != 0) map.SetOwner(offset, block->owner);
  });
  return added;
}

void LiveBlocks::CheckInvariants() const {
  if (made_ == nullptr) return;
  made_->CheckInvariants();
  TIERLIB_CHECK(made_->size() == starts_.size(), "LiveBlocks I1: the map has more or fewer blocks");
  starts_.ForEach([this](std::size_t offset, const Block* block) {
    AddressMap::Found last;
    TIERLIB_CHECK(made_->Find(offset + block->bytes - 1, &last) && last.offset == offset &&
                      last.bytes == block->bytes && last.tag == block->tag && last.owner == block->owner,
                  "LiveBlocks I1: the map has another block");
  });
}

}  // namespace tierlib
