#include "storage/direct_pool.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>

#include "base/check.h"
#include "tierlib/tier.h"

namespace tierlib {

StatusOr<std::unique_ptr<DirectPool>> DirectPool::Create(DeviceBackend& device, EventPool& events,
                                                         const TagLimits& limits, trace::Recorder* recorder) {
  TIERLIB_ASSIGN_OR_RETURN(const Stream frees, device.CreateStream("frees"));
  std::unique_ptr<DirectPool> pool(new DirectPool(device, events, limits, recorder, frees));
  // A device that cannot says so now.
  TIERLIB_ASSIGN_OR_RETURN(void* const block, device.AllocateInOrder(1, frees));
  TIERLIB_RETURN_IF_ERROR(device.FreeInOrder(block, frees));
  return pool;
}

DirectPool::~DirectPool() { (void)device_.DestroyStream(frees_); }

std::size_t DirectPool::Rounded(std::size_t bytes) const {
  const std::size_t unit = device_.info().alignment;
  if (bytes == 0) return unit;
  return std::min(bytes, std::numeric_limits<std::size_t>::max() - unit) / unit * unit + (bytes % unit == 0 ? 0 : unit);
}

std::size_t DirectPool::RoomOfTag(trace::Tag tag) const {
  MutexLock lock(mutex_);
  return limits_[static_cast<std::size_t>(tag)] - accounts_.held(tag);
}

StatusOr<void*> DirectPool::Allocate(std::size_t bytes, Stream stream, trace::Tag tag) {
  const std::size_t rounded = Rounded(bytes);
  MutexLock lock(mutex_);
  StatusOr<void*> block = Status(StatusCode::kResourceExhausted);
  const std::size_t room = capacity() - accounts_.total().rounded;
  if (rounded <= room && rounded <= limits_[static_cast<std::size_t>(tag)] - accounts_.held(tag)) {
    block = device_.AllocateInOrder(rounded, stream);
  }
  if (!block.ok()) {
    if (block.status().code() == StatusCode::kResourceExhausted) {
      trace::Write(recorder_, trace::Event::kPoolFull, tag, static_cast<std::uint16_t>(Tier::kDevice), 0, room,
                   rounded);
    }
    return block;
  }
  live_.emplace(reinterpret_cast<std::uintptr_t>(*block), Live{bytes, rounded, tag});
  accounts_.Add(tag, bytes, rounded);
  trace::Write(recorder_, trace::Event::kPoolAllocate, tag, static_cast<std::uint16_t>(Tier::kDevice), 0,
               reinterpret_cast<std::uintptr_t>(*block), rounded);
  return block;
}

void DirectPool::Free(void* block, absl::Span<const Stream> streams) {
  Stream last = streams.size() == 1 ? streams.front() : frees_;
  if (streams.size() != 1 || !device_.StreamNumber(last).ok()) {
    last = frees_;
    for (const Stream stream : streams) {
      if (const MarkRef mark = events_.MarkOrWait(stream)) (void)events_.WaitOn(frees_, *mark);
    }
  }
  MutexLock lock(mutex_);
  const auto found = LiveAt(block, "DirectPool::Free of what is not a live block");
  const Live live = found->second;
  live_.erase(found);
  accounts_.Remove(live.tag, live.asked, live.rounded);
  trace::Write(recorder_, trace::Event::kPoolFree, live.tag, static_cast<std::uint16_t>(Tier::kDevice), 0,
               reinterpret_cast<std::uintptr_t>(block), live.rounded);
  // A lost device says so elsewhere (health).
  (void)device_.FreeInOrder(block, last);
}

DirectPool::Blocks::iterator DirectPool::LiveAt(const void* block, const char* otherwise) {
  const auto found = live_.find(reinterpret_cast<std::uintptr_t>(block));
  TIERLIB_CHECK(found != live_.end(), otherwise);
  return found;
}

void DirectPool::SetOwner(const void* block, std::uint64_t owner) {
  MutexLock lock(mutex_);
  LiveAt(block, "DirectPool::SetOwner of what is not a live block")->second.owner = owner;
}

bool DirectPool::Find(const void* address, AddressMap::Found* found) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  MutexLock lock(mutex_);
  const auto behind = live_.upper_bound(at);
  if (behind == live_.begin()) return false;
  const auto& [start, live] = *std::prev(behind);
  if (at - start >= live.rounded) return false;
  *found = {.tag = live.tag, .in_block = at - start, .bytes = live.rounded, .owner = live.owner};
  return true;
}

std::size_t DirectPool::live_bytes() const {
  MutexLock lock(mutex_);
  return accounts_.total().rounded;
}

TierStatistics DirectPool::statistics() const {
  MutexLock lock(mutex_);
  const TagAccounts::Account& total = accounts_.total();
  const TagAccounts::Peak& peak = accounts_.peak();
  TierStatistics statistics;
  statistics.capacity = capacity();
  statistics.reserved = std::max<std::uint64_t>(device_.ReservedInOrder(), total.rounded);
  statistics.live = total.asked;
  statistics.waste = total.rounded - total.asked;
  statistics.cached = statistics.reserved - total.rounded;
  statistics.live_peak = peak.rounded;
  statistics.live_peak_ns = peak.time_ns;
  statistics.extent_peak = peak.rounded;
  for (std::size_t i = 0; i < trace::kTagCount; ++i) {
    const TagAccounts::Account& now = accounts_.tags()[i];
    if (now.blocks == 0 && peak.tags[i].blocks == 0) continue;
    statistics.tags.push_back({trace::TagName(static_cast<trace::Tag>(i)), now.blocks, now.asked,
                               now.rounded - now.asked, peak.tags[i].rounded});
  }
  return statistics;
}

}  // namespace tierlib
