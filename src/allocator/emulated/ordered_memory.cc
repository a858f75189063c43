#include "allocator/emulated/ordered_memory.h"

#include <utility>

namespace tierlib::emulated {

StatusOr<void*> OrderedMemory::Allocate(std::size_t bytes, Schedule& schedule) {
  constexpr std::size_t kUnit = Arena::kGranularity;
  if (bytes > arena_.capacity()) return Status(StatusCode::kResourceExhausted);
  const std::size_t rounded = bytes == 0 ? kUnit : (bytes + kUnit - 1) / kUnit * kUnit;
  std::list<Block> made(1);  // before the block, which is not to be lost where there is no memory for this
  made.front().freed = std::make_shared<Recording>();
  for (;;) {
    RecordingRef oldest;
    {
      MutexLock lock(mutex_);
      live_.reserve(live_.size() + 1);
      GiveBackEnded();
      const StatusOr<void*> block = arena_.Reserve(rounded);
      if (block.ok()) {
        made.front().block = *block;
        made.front().bytes = rounded;
        live_.emplace(*block, made.begin());
        blocks_.splice(blocks_.end(), made);
        reserved_ += rounded;
        return *block;
      }
      if (block.status().code() != StatusCode::kResourceExhausted || freed_.empty()) return block.status();
      oldest = freed_.front().freed;
    }
    TIERLIB_RETURN_IF_ERROR(schedule.WaitFor(*oldest));
  }
}

std::optional<std::size_t> OrderedMemory::BlockBytes(const void* block) const {
  MutexLock lock(mutex_);
  const auto found = live_.find(block);
  if (found == live_.end()) return std::nullopt;
  return found->second->bytes;
}

RecordingRef OrderedMemory::FreedWith(const void* block) const {
  MutexLock lock(mutex_);
  return live_.find(block)->second->freed;
}

void OrderedMemory::Free(void* block) {
  MutexLock lock(mutex_);
  const auto found = live_.find(block);
  freed_.splice(freed_.end(), blocks_, found->second);
  live_.erase(found);
}

std::uint64_t OrderedMemory::reserved() const {
  MutexLock lock(mutex_);
  return reserved_;
}

void OrderedMemory::GiveBackEnded() {
  // Of several streams a later one may have ended first; what is at the front goes first, so that addresses depend on
  // as little as possible.
  while (!freed_.empty() && freed_.front().freed->done()) {
    (void)arena_.Release(freed_.front().block, freed_.front().bytes);
    reserved_ -= freed_.front().bytes;
    freed_.pop_front();
  }
}

}  // namespace tierlib::emulated
