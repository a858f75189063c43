#include "fuzz/pool_model.h"

#include <algorithm>

#include "base/check.h"

namespace tierlib::fuzz {
namespace {

std::size_t RoundUp(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

void PoolModel::Reset(std::size_t units, std::size_t unit_bytes) {
  TIERLIB_CHECK(units <= kUnitsMost, "PoolModel: too many units");
  units_ = units;
  unit_bytes_ = unit_bytes;
  live_.clear();
  freed_.clear();
  gone_ = FreedBlock();
  std::fill_n(moments_.begin(), touched_, Moment{});
  touched_ = extent_peak_ = asked_ = live_units_ = live_peak_ = 0;
}

std::optional<std::size_t> PoolModel::Place(std::size_t units, std::size_t alignment_units) const {
  std::size_t end = 0;
  for (const LiveBlock& block : live_) {
    if (RoundUp(end, alignment_units) + units <= block.offset) return RoundUp(end, alignment_units);
    end = block.offset + block.units;
  }
  const std::size_t offset = RoundUp(end, alignment_units);
  if (offset > units_ || units > units_ - offset) return std::nullopt;
  return offset;
}

void PoolModel::Allocated(const LiveBlock& block, const Moment& seen, const Moment& done) {
  CheckEnded(block.offset, block.offset + block.units, seen, done);
  Insert(block);
}

void PoolModel::Insert(const LiveBlock& block) {
  for (std::size_t which = freed_.size(); which-- > 0;) {
    const LiveBlock& other = freed_[which].block;
    if (other.offset < block.offset + block.units && block.offset < other.offset + other.units) Forgot(which);
  }
  const auto behind = std::find_if(live_.begin(), live_.end(),
                                   [&block](const LiveBlock& other) { return other.offset > block.offset; });
  live_.insert(behind, block);
  touched_ = std::max(touched_, block.offset + block.units);
  extent_peak_ = std::max(extent_peak_, Extent());
  asked_ += block.asked;
  live_units_ += block.units;
  live_peak_ = std::max(live_peak_, live_units_);
}

void PoolModel::Freed(std::size_t which, const Moment& items) {
  const LiveBlock& block = live_[which];
  for (std::size_t unit = block.offset; unit < block.offset + block.units; ++unit) Raise(moments_[unit], items);
  asked_ -= block.asked;
  live_units_ -= block.units;
  live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(which));
}

void PoolModel::FreedWithBytes(std::size_t which, const Moment& items, std::uint64_t ticket) {
  const LiveBlock block = live_[which];
  Freed(which, items);
  freed_.push_back({block, ticket});
}

void PoolModel::TakenBack(std::size_t which, trace::Tag tag) {
  LiveBlock block = freed_[which].block;
  block.tag = tag;
  block.owner = 0;
  Insert(block);
}

void PoolModel::SetOwner(std::size_t unit, std::uint64_t owner) {
  for (LiveBlock& block : live_) {
    if (unit - block.offset < block.units) block.owner = owner;
  }
}

void PoolModel::Forgot(std::size_t which) {
  gone_ = freed_[which];
  freed_.erase(freed_.begin() + static_cast<std::ptrdiff_t>(which));
}

void PoolModel::ForgotAll() {
  while (!freed_.empty()) Forgot(freed_.size() - 1);
}

void PoolModel::CheckEnded(std::size_t begin, std::size_t end, const Moment& seen, const Moment& done) const {
  end = std::min(end, touched_);
  for (std::size_t unit = begin; unit < end; ++unit) {
    TIERLIB_CHECK(Covered(moments_[unit], seen, done), "memory is used again before its last users are through");
  }
}

const LiveBlock* PoolModel::Find(std::size_t unit) const {
  const auto has = [unit](const LiveBlock& block) { return unit - block.offset < block.units; };
  const auto found = std::find_if(live_.begin(), live_.end(), has);
  return found == live_.end() ? nullptr : &*found;
}

std::size_t PoolModel::LargestHole() const {
  std::size_t largest = 0;
  std::size_t end = 0;
  for (const LiveBlock& block : live_) {
    largest = std::max(largest, block.offset - end);
    end = block.offset + block.units;
  }
  return largest;
}

std::size_t PoolModel::EndedUnits(std::size_t end, const Moment& done) const {
  std::size_t ended = 0;
  std::size_t unit = 0;
  const auto count = [&](std::size_t hole_end) {
    for (; unit < hole_end; ++unit) ended += unit >= touched_ || Covered(moments_[unit], done, done) ? 1 : 0;
  };
  for (const LiveBlock& block : live_) {
    count(std::min(block.offset, end));
    unit = block.offset + block.units;
  }
  count(end);
  return ended;
}

}  // namespace tierlib::fuzz
