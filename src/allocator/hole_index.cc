#include "allocator/hole_index.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/round_up.h"

namespace tierlib {

namespace {

// What iterators are moved by.
std::ptrdiff_t Distance(std::size_t count) { return static_cast<std::ptrdiff_t>(count); }

}  // namespace

HoleIndex::HoleIndex() {
  leaves_.push_back(std::make_unique<HoleLeaf>());
  first_.push_back(0);
  Rebuild();
}

bool HoleIndex::Reserve(std::size_t holes) {
  // Where no two neighbours fit into one leaf, two have at least kHoles + 1 holes.
  const std::size_t leaves = 2 * holes / (HoleLeaf::kHoles + 1) + 2;
  std::size_t room = 1;
  while (room < leaves) room *= kChildren;
  try {
    first_.reserve(leaves);
    leaves_.reserve(leaves);
    spare_.reserve(leaves);
    tree_.reserve((room - 1) / (kChildren - 1) + room);
    while (leaves_.size() + spare_.size() < leaves) spare_.push_back(std::make_unique<HoleLeaf>());
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

std::size_t HoleIndex::LeafFor(std::size_t offset) const {
  // The last leaf whose range does not begin behind `offset`, in steps that no branch depends on.
  const std::size_t* base = first_.data();
  for (std::size_t count = first_.size(); count > 1;) {
    const std::size_t half = count / 2;
    base += base[half] <= offset ? half : 0;
    count -= half;
  }
  return static_cast<std::size_t>(base - first_.data());
}

void HoleIndex::Append(HoleLeaf& leaf, Block* hole) {
  const std::uint32_t slot = leaf.count++;
  leaf.keys[slot] = hole->offset * HoleLeaf::kHoles + slot;
  leaf.bytes[slot] = hole->bytes;
  leaf.blocks[slot] = hole;
  hole->leaf = &leaf;
  hole->slot = slot;
}

std::size_t HoleIndex::LargestChild(std::size_t node) const {
  const std::size_t* child = &tree_[kChildren * node + 1];
  return std::max(std::max(child[0], child[1]), std::max(child[2], child[3]));
}

std::size_t HoleIndex::Largest(const HoleLeaf& leaf) {
  std::size_t largest = 0;
  for (const std::size_t bytes : leaf.bytes) largest = std::max(largest, bytes);
  return largest;
}

void HoleIndex::SetLargest(std::size_t index, std::size_t largest) {
  std::size_t node = first_leaf_ + index;
  tree_[node] = largest;
  while (node > 0) {
    node = (node - 1) / kChildren;
    largest = LargestChild(node);
    if (tree_[node] == largest) return;
    tree_[node] = largest;
  }
}

void HoleIndex::Raise(const HoleLeaf& leaf, std::size_t before, std::size_t now) {
  const std::size_t largest = tree_[first_leaf_ + leaf.index];
  if (now > largest) {
    SetLargest(leaf.index, now);
  } else if (before == largest && now < before) {
    SetLargest(leaf.index, Largest(leaf));
  }
}

void HoleIndex::Rebuild() {
  std::size_t room = 3 * first_leaf_ + 1;  // a level has three times the nodes above it, and one
  for (; room < leaves_.size(); room *= kChildren) first_leaf_ = kChildren * first_leaf_ + 1;
  tree_.assign(first_leaf_ + room, 0);
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    leaves_[i]->index = i;
    tree_[first_leaf_ + i] = Largest(*leaves_[i]);
  }
  for (std::size_t node = first_leaf_; node-- > 0;) tree_[node] = LargestChild(node);
}

void HoleIndex::Split(std::size_t index) {
  HoleLeaf& low = *leaves_[index];
  std::array<Block*, HoleLeaf::kHoles> holes = low.blocks;
  std::sort(holes.begin(), holes.end(), [](const Block* a, const Block* b) { return a->offset < b->offset; });
  std::unique_ptr<HoleLeaf> high = std::move(spare_.back());
  spare_.pop_back();
  low.count = 0;
  low.bytes.fill(0);
  constexpr std::size_t kHalf = HoleLeaf::kHoles / 2;
  for (std::size_t i = 0; i < holes.size(); ++i) Append(i < kHalf ? low : *high, holes[i]);
  const std::ptrdiff_t behind = Distance(index + 1);
  first_.insert(first_.begin() + behind, holes[kHalf]->offset);
  leaves_.insert(leaves_.begin() + behind, std::move(high));
  Rebuild();
}

void HoleIndex::JoinLeaves() {
  std::size_t low = 0;
  while (low + 1 < leaves_.size() && leaves_[low]->count + leaves_[low + 1]->count > HoleLeaf::kHoles) ++low;
  TIERLIB_CHECK(low + 1 < leaves_.size(), "HoleIndex I4: more holes than there is room for");
  HoleLeaf& high = *leaves_[low + 1];
  for (std::uint32_t slot = 0; slot < high.count; ++slot) Append(*leaves_[low], high.blocks[slot]);
  RemoveLeaf(low + 1);
}

void HoleIndex::RemoveLeaf(std::size_t index) {
  leaves_[index]->count = 0;
  leaves_[index]->bytes.fill(0);
  spare_.push_back(std::move(leaves_[index]));
  leaves_.erase(leaves_.begin() + Distance(index));
  first_.erase(first_.begin() + Distance(index));
  first_.front() = 0;
  Rebuild();
}

void HoleIndex::Add(Block* hole) {
  std::size_t index = LeafFor(hole->offset);
  if (leaves_[index]->count == HoleLeaf::kHoles) {
    if (spare_.empty()) {
      JoinLeaves();
      index = LeafFor(hole->offset);
    }
    Split(index);
    index = LeafFor(hole->offset);
  }
  Append(*leaves_[index], hole);
  Raise(*leaves_[index], 0, hole->bytes);
  ++size_;
}

void HoleIndex::Remove(Block* hole) {
  HoleLeaf& leaf = *hole->leaf;
  const std::uint32_t slot = hole->slot;
  const std::uint32_t last = --leaf.count;
  const std::size_t bytes = leaf.bytes[slot];
  leaf.keys[slot] = leaf.keys[last] - last + slot;
  leaf.bytes[slot] = leaf.bytes[last];
  leaf.blocks[slot] = leaf.blocks[last];
  leaf.blocks[slot]->slot = slot;
  leaf.bytes[last] = 0;
  hole->leaf = nullptr;
  --size_;
  if (last == 0 && leaves_.size() > 1) {
    RemoveLeaf(leaf.index);
  } else {
    Raise(leaf, bytes, 0);
  }
}

void HoleIndex::Update(Block* hole) { Replace(hole, hole); }

void HoleIndex::Replace(Block* hole, Block* by) {
  HoleLeaf& leaf = *hole->leaf;
  const std::uint32_t slot = hole->slot;
  hole->leaf = nullptr;
  by->leaf = &leaf;
  by->slot = slot;
  const std::size_t before = leaf.bytes[slot];
  leaf.keys[slot] = by->offset * HoleLeaf::kHoles + slot;
  leaf.bytes[slot] = by->bytes;
  leaf.blocks[slot] = by;
  // The hole has moved within what no other hole lies in: the ranges follow.
  first_[leaf.index] = std::min(first_[leaf.index], by->offset);
  const std::size_t behind = leaf.index + 1;
  if (behind < first_.size()) first_[behind] = std::max(first_[behind], by->offset + 1);
  Raise(leaf, before, by->bytes);
}

Block* HoleIndex::FindLowest(std::size_t bytes) const {
  if (tree_[0] < bytes) return nullptr;
  std::size_t node = 0;
  while (node < first_leaf_) {
    const std::size_t* child = &tree_[kChildren * node + 1];
    const unsigned not_0 = child[0] < bytes;  // arithmetic, as nobody could predict the branches
    const unsigned not_1 = not_0 & static_cast<unsigned>(child[1] < bytes);
    const unsigned not_2 = not_1 & static_cast<unsigned>(child[2] < bytes);
    node = kChildren * node + 1 + not_0 + not_1 + not_2;
  }
  const HoleLeaf& leaf = *leaves_[node - first_leaf_];
  std::size_t lowest = std::numeric_limits<std::size_t>::max();
  for (std::size_t slot = 0; slot < HoleLeaf::kHoles; ++slot) {
    const std::size_t too_small = static_cast<std::size_t>(leaf.bytes[slot] >= bytes) - 1;  // all bits, or none
    lowest = std::min(lowest, leaf.keys[slot] | too_small);
  }
  return leaf.blocks[lowest % HoleLeaf::kHoles];
}

Block* HoleIndex::FindLowestAligned(std::size_t bytes, std::size_t alignment) const {
  if (tree_[0] < bytes) return nullptr;
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    if (tree_[first_leaf_ + i] < bytes) continue;
    Block* lowest = nullptr;
    for (std::size_t slot = 0; slot < leaves_[i]->count; ++slot) {
      Block* const hole = leaves_[i]->blocks[slot];
      const std::size_t skipped = RoundUpTo(hole->offset, alignment) - hole->offset;
      if (skipped > hole->bytes || hole->bytes - skipped < bytes) continue;
      if (lowest == nullptr || hole->offset < lowest->offset) lowest = hole;
    }
    if (lowest != nullptr) return lowest;
  }
  return nullptr;
}

Block* HoleIndex::FindCovering(std::size_t offset) const {
  // A hole that grew upwards may cover where the range of the next leaf begins.
  const std::size_t index = LeafFor(offset);
  for (std::size_t i = index == 0 ? 0 : index - 1; i <= index; ++i) {
    for (std::size_t slot = 0; slot < leaves_[i]->count; ++slot) {
      Block* const hole = leaves_[i]->blocks[slot];
      if (hole->offset <= offset && offset - hole->offset < hole->bytes) return hole;
    }
  }
  return nullptr;
}

void HoleIndex::CheckInvariants() const {
  std::size_t count = 0;
  TIERLIB_CHECK(first_.front() == 0, "HoleIndex I1: the first range does not begin at 0");
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    const HoleLeaf& leaf = *leaves_[i];
    TIERLIB_CHECK(leaf.index == i, "HoleIndex I3: a leaf's number is wrong");
    TIERLIB_CHECK(leaf.count > 0 || leaves_.size() == 1, "HoleIndex I1: an empty leaf");
    const std::size_t end = i + 1 < first_.size() ? first_[i + 1] : std::numeric_limits<std::size_t>::max();
    TIERLIB_CHECK(first_[i] < end, "HoleIndex I1: ranges do not ascend");
    for (std::uint32_t slot = 0; slot < HoleLeaf::kHoles; ++slot) {
      if (slot >= leaf.count) {
        TIERLIB_CHECK(leaf.bytes[slot] == 0, "HoleIndex I2: a size behind the last hole");
        continue;
      }
      const Block& hole = *leaf.blocks[slot];
      TIERLIB_CHECK(hole.leaf == &leaf && hole.slot == slot, "HoleIndex I3: a hole does not know its place");
      TIERLIB_CHECK(
          hole.offset == leaf.keys[slot] / HoleLeaf::kHoles && hole.bytes == leaf.bytes[slot] && hole.bytes > 0,
          "HoleIndex I3: a hole is listed with another range");
      TIERLIB_CHECK(hole.offset >= first_[i] && hole.offset < end, "HoleIndex I1: a hole is in a wrong leaf");
    }
    TIERLIB_CHECK(tree_[first_leaf_ + i] == Largest(leaf), "HoleIndex I2: a leaf's largest hole is wrong");
    count += leaf.count;
  }
  for (std::size_t node = first_leaf_ + leaves_.size(); node < tree_.size(); ++node) {
    TIERLIB_CHECK(tree_[node] == 0, "HoleIndex I2: a size beyond the leaves");
  }
  for (std::size_t node = 0; node < first_leaf_; ++node) {
    TIERLIB_CHECK(tree_[node] == LargestChild(node), "HoleIndex I2: a node is wrong");
  }
  TIERLIB_CHECK(count == size_, "HoleIndex I1: the holes do not add up");
}

}  // namespace tierlib
