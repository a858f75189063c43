#include "storage/owner_index.h"

#include <algorithm>
#include <limits>

#include "trace/event.h"

namespace tierlib {
namespace {

StorageId StorageOf(std::uint64_t integer) {
  return {static_cast<std::uint32_t>(integer), static_cast<std::uint32_t>(integer >> 32)};
}

}  // namespace

void OwnerIndex::AddPool(const BlockPool& pool, int device) {
  pools_.push_back({&pool, Whole(pool.tier(), device, pool.numa_node())});
}

void OwnerIndex::AddPool(const DirectPool& pool, int device, int numa_node) {
  direct_.push_back({&pool, Whole(Tier::kDevice, device, numa_node)});
}

Owner OwnerIndex::Whole(Tier tier, int device, int numa_node) const {
  Owner whole;
  whole.tier = tier;
  whole.device = device;
  whole.numa_node = numa_node;
  whole.pool = pools_.size() + direct_.size();
  whole.tag = trace::TagName(trace::Tag::kNone);
  return whole;
}

void OwnerIndex::Adopt(const void* data, std::uint64_t bytes, StorageId storage, int device, int numa_node) {
  MutexLock lock(mutex_);
  adopted_[{reinterpret_cast<std::uintptr_t>(data), storage.ToInteger()}] = {bytes, device, numa_node};
  longest_ = std::max(longest_, bytes);
}

void OwnerIndex::Release(const void* data, StorageId storage) {
  MutexLock lock(mutex_);
  adopted_.erase({reinterpret_cast<std::uintptr_t>(data), storage.ToInteger()});
  if (adopted_.empty()) longest_ = 0;
}

bool OwnerIndex::Find(const void* address, Owner* owner) const {
  AddressMap::Found place;
  for (const auto& [pool, whole] : pools_) {
    const BlockPool::Part part = pool->Find(address, &place);
    if (part == BlockPool::Part::kOutside) continue;
    *owner = whole;
    if (part == BlockPool::Part::kLive) Describe(place, owner);
    return true;
  }
  for (const auto& [pool, whole] : direct_) {
    if (!pool->Find(address, &place)) continue;
    *owner = whole;
    Describe(place, owner);
    return true;
  }
  return FindAdopted(reinterpret_cast<std::uintptr_t>(address), owner);
}

void OwnerIndex::Describe(const AddressMap::Found& place, Owner* owner) {
  owner->state = BlockState::kLive;
  owner->storage = StorageOf(place.owner);
  owner->offset = place.in_block;
  owner->block_offset = place.offset;
  owner->block_bytes = place.bytes;
  owner->tag = trace::TagName(place.tag);
}

bool OwnerIndex::FindAdopted(std::uintptr_t address, Owner* owner) const {
  MutexLock lock(mutex_);
  auto next = adopted_.upper_bound({address, std::numeric_limits<std::uint64_t>::max()});
  while (next != adopted_.begin()) {
    const auto& [start, range] = *--next;
    const std::uint64_t offset = address - start.first;
    if (offset >= longest_) break;
    if (offset >= range.bytes) continue;
    *owner = Owner();
    owner->tier = Tier::kDevice;
    owner->state = BlockState::kAdopted;
    owner->device = range.device;
    owner->numa_node = range.numa_node;
    owner->storage = StorageOf(start.second);
    owner->offset = offset;
    owner->block_bytes = range.bytes;
    owner->tag = trace::TagName(trace::Tag::kClient);
    return true;
  }
  return false;
}

}  // namespace tierlib
