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
  Owner whole;
  whole.tier = pool.tier();
  whole.device = device;
  whole.numa_node = pool.numa_node();
  whole.pool = pools_.size();
  whole.tag = trace::TagName(trace::Tag::kNone);
  pools_.push_back({&pool, whole});
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
  for (const Pool& each : pools_) {
    BlockPool::Place place;
    const BlockPool::Part part = each.pool->Find(address, &place);
    if (part == BlockPool::Part::kOutside) continue;
    *owner = each.whole;
    if (part == BlockPool::Part::kFree) return true;
    owner->state = BlockState::kLive;
    owner->storage = StorageOf(place.owner);
    owner->offset = place.in_block;
    owner->block_offset = place.offset;
    owner->block_bytes = place.bytes;
    owner->tag = trace::TagName(place.tag);
    return true;
  }
  return FindAdopted(reinterpret_cast<std::uintptr_t>(address), owner);
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
