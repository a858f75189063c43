#include "allocator/hole_index.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tierlib {

namespace {

// What iterators are moved by.
std::ptrdiff_t Distance(std::size_t count) { return static_cast<std::ptrdiff_t>(count); }

}  // namespace

HoleIndex::HoleIndex() {
  leaves_.push_back(std::make_unique<Leaf>());
  first_.push_back(0);
  RebuildTree({0});
}

std::size_t HoleIndex::LeafFor(std::size_t offset) const {
  // The last leaf whose first hole is not behind `offset`.
  const auto behind = std::upper_bound(first_.begin() + 1, first_.end(), offset);
  return static_cast<std::size_t>(behind - first_.begin()) - 1;
}

std::size_t HoleIndex::Position(const Leaf& leaf, std::size_t offset) {
  std::size_t position = 0;
  for (std::size_t i = 0; i < leaf.count; ++i) position += leaf.offsets[i] < offset ? 1 : 0;
  return position;
}

void HoleIndex::InsertAt(Leaf& leaf, std::size_t position, std::size_t offset, std::size_t bytes, Block* block) {
  const auto shift = [&](auto& array, auto value) {
    const auto end = array.begin() + Distance(leaf.count);
    std::move_backward(array.begin() + Distance(position), end, end + 1);
    array[position] = value;
  };
  shift(leaf.offsets, offset);
  shift(leaf.bytes, bytes);
  shift(leaf.blocks, block);
  ++leaf.count;
}

void HoleIndex::RemoveAt(Leaf& leaf, std::size_t position) {
  const auto shift = [&](auto& array) {
    const auto at = array.begin() + Distance(position);
    std::move(at + 1, array.begin() + Distance(leaf.count), at);
  };
  shift(leaf.offsets);
  shift(leaf.bytes);
  shift(leaf.blocks);
  leaf.bytes[--leaf.count] = 0;
}

std::size_t HoleIndex::Largest(const Leaf& leaf) {
  std::size_t largest = 0;
  for (const std::size_t bytes : leaf.bytes) largest = std::max(largest, bytes);
  return largest;
}

void HoleIndex::Refresh(std::size_t index) {
  const Leaf& leaf = *leaves_[index];
  if (leaf.count > 0) first_[index] = leaf.offsets[0];
  std::size_t node = tree_leaves_ + index;
  tree_[node] = Largest(leaf);
  for (node /= 2; node > 0; node /= 2) {
    const std::size_t larger = std::max(tree_[2 * node], tree_[2 * node + 1]);
    if (tree_[node] == larger) break;
    tree_[node] = larger;
  }
}

void HoleIndex::RebuildTree(std::vector<std::size_t> largest) {
  tree_leaves_ = std::max<std::size_t>(tree_leaves_, 1);
  while (tree_leaves_ < largest.size()) tree_leaves_ *= 2;
  tree_.resize(2 * tree_leaves_);
  const auto end = std::copy(largest.begin(), largest.end(), tree_.begin() + Distance(tree_leaves_));
  std::fill(end, tree_.end(), 0);
  for (std::size_t node = tree_leaves_ - 1; node > 0; --node) {
    tree_[node] = std::max(tree_[2 * node], tree_[2 * node + 1]);
  }
}

std::vector<std::size_t> HoleIndex::LargestOfLeaves() const {
  const auto begin = tree_.begin() + Distance(tree_leaves_);
  return {begin, begin + Distance(leaves_.size())};
}

void HoleIndex::Split(std::size_t index) {
  Leaf& low = *leaves_[index];
  auto high = std::make_unique<Leaf>();
  constexpr std::size_t kHalf = kLeafHoles / 2;
  high->count = low.count - kHalf;
  const auto move_half = [](auto& from, auto& to) { std::copy(from.begin() + kHalf, from.end(), to.begin()); };
  move_half(low.offsets, high->offsets);
  move_half(low.bytes, high->bytes);
  move_half(low.blocks, high->blocks);
  low.count = kHalf;
  std::fill(low.bytes.begin() + kHalf, low.bytes.end(), 0);
  std::vector<std::size_t> largest = LargestOfLeaves();
  largest[index] = Largest(low);
  const std::ptrdiff_t behind = Distance(index + 1);
  largest.insert(largest.begin() + behind, Largest(*high));
  first_.insert(first_.begin() + behind, high->offsets[0]);
  leaves_.insert(leaves_.begin() + behind, std::move(high));
  RebuildTree(std::move(largest));
}

void HoleIndex::RemoveLeaf(std::size_t index) {
  std::vector<std::size_t> largest = LargestOfLeaves();
  largest.erase(largest.begin() + Distance(index));
  leaves_.erase(leaves_.begin() + Distance(index));
  first_.erase(first_.begin() + Distance(index));
  RebuildTree(std::move(largest));
}

void HoleIndex::Add(std::size_t offset, std::size_t bytes, Block* block) {
  std::size_t index = LeafFor(offset);
  if (leaves_[index]->count == kLeafHoles) {
    Split(index);
    index = LeafFor(offset);
  }
  Leaf& leaf = *leaves_[index];
  InsertAt(leaf, Position(leaf, offset), offset, bytes, block);
  Refresh(index);
  ++size_;
}

void HoleIndex::Remove(std::size_t offset) {
  const std::size_t index = LeafFor(offset);
  Leaf& leaf = *leaves_[index];
  const std::size_t position = Position(leaf, offset);
  TIERLIB_DCHECK(position < leaf.count && leaf.offsets[position] == offset, "HoleIndex: no hole starts there");
  RemoveAt(leaf, position);
  --size_;
  if (leaf.count == 0 && leaves_.size() > 1) {
    RemoveLeaf(index);
  } else {
    Refresh(index);
  }
}

void HoleIndex::Move(std::size_t offset, std::size_t new_offset, std::size_t bytes, Block* block) {
  const std::size_t index = LeafFor(offset);
  Leaf& leaf = *leaves_[index];
  const std::size_t position = Position(leaf, offset);
  TIERLIB_DCHECK(position < leaf.count && leaf.offsets[position] == offset, "HoleIndex: no hole starts there");
  leaf.offsets[position] = new_offset;
  leaf.bytes[position] = bytes;
  leaf.blocks[position] = block;
  Refresh(index);
}

Block* HoleIndex::FindLowest(std::size_t bytes) const {
  if (tree_[1] < bytes || size_ == 0) return nullptr;
  std::size_t node = 1;
  while (node < tree_leaves_) node = 2 * node + (tree_[2 * node] < bytes ? 1 : 0);
  const Leaf& leaf = *leaves_[node - tree_leaves_];
  std::size_t position = 0;
  while (leaf.bytes[position] < bytes) ++position;
  return leaf.blocks[position];
}

Block* HoleIndex::At(std::size_t offset) const {
  const Leaf& leaf = *leaves_[LeafFor(offset)];
  const std::size_t position = Position(leaf, offset);
  return position < leaf.count && leaf.offsets[position] == offset ? leaf.blocks[position] : nullptr;
}

void HoleIndex::CheckInvariants() const {
  std::size_t count = 0;
  std::size_t end = 0;
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    const Leaf& leaf = *leaves_[i];
    TIERLIB_CHECK(leaf.count > 0 || leaves_.size() == 1, "HoleIndex I1: an empty leaf");
    TIERLIB_CHECK(leaf.count == 0 || first_[i] == leaf.offsets[0], "HoleIndex I1: a leaf's first offset is wrong");
    std::size_t largest = 0;
    for (std::size_t hole = 0; hole < kLeafHoles; ++hole) {
      if (hole >= leaf.count) {
        TIERLIB_CHECK(leaf.bytes[hole] == 0, "HoleIndex I2: a size behind the last hole");
        continue;
      }
      TIERLIB_CHECK(leaf.bytes[hole] > 0 && leaf.offsets[hole] >= end, "HoleIndex I1: offsets do not ascend");
      end = leaf.offsets[hole] + leaf.bytes[hole];
      largest = std::max(largest, leaf.bytes[hole]);
    }
    TIERLIB_CHECK(tree_[tree_leaves_ + i] == largest, "HoleIndex I2: a leaf's largest hole is wrong");
    count += leaf.count;
  }
  for (std::size_t i = leaves_.size(); i < tree_leaves_; ++i) {
    TIERLIB_CHECK(tree_[tree_leaves_ + i] == 0, "HoleIndex I2: a size beyond the leaves");
  }
  for (std::size_t node = 1; node < tree_leaves_; ++node) {
    TIERLIB_CHECK(tree_[node] == std::max(tree_[2 * node], tree_[2 * node + 1]), "HoleIndex I2: a node is wrong");
  }
  TIERLIB_CHECK(count == size_, "HoleIndex I1: the holes do not add up");
}

}  // namespace tierlib
