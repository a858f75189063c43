#include "toy_framework/memory.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace toy {

using tierlib::EventId;
using tierlib::Stream;

namespace {

constexpr std::size_t kUnit = 256;

}  // namespace

Memory::Memory(tierlib::DeviceBackend& device, std::size_t bytes)
    : device_(device), base_(static_cast<std::uint8_t*>(device.Reserve(bytes).value())) {
  holes_[0].bytes = bytes;
}

Memory::~Memory() {
  TIERLIB_CHECK(taken_.empty(), "toy memory: a block was not given back");
  for (auto& [offset, hole] : holes_) {
    for (const EventId event : hole.ready) device_.DestroyEvent(event);
  }
  for (const EventId event : spare_) device_.DestroyEvent(event);
}

void* Memory::Take(std::size_t bytes, Stream stream) {
  const std::size_t rounded = std::max<std::size_t>(1, (bytes + kUnit - 1) / kUnit) * kUnit;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(holes_.begin(), holes_.end(), [&](const auto& hole) { return hole.second.bytes >= rounded; });
  if (found == holes_.end()) return nullptr;
  const std::size_t offset = found->first;
  Hole hole = std::move(found->second);
  holes_.erase(found);
  for (const EventId event : hole.ready) TIERLIB_CHECK(device_.WaitEvent(stream, event).ok(), "toy memory");
  if (hole.bytes > rounded) {
    hole.bytes -= rounded;
    holes_[offset + rounded] = std::move(hole);
  } else {
    spare_.insert(spare_.end(), hole.ready.begin(), hole.ready.end());
  }
  taken_[offset] = rounded;
  live_ += rounded;
  peak_ = std::max(peak_, live_);
  return base_ + offset;
}

EventId Memory::TakeEvent() {
  if (spare_.empty()) return device_.CreateEvent().value();
  const EventId event = spare_.back();
  spare_.pop_back();
  return event;
}

void Memory::Give(void* data, const std::vector<Stream>& streams) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = taken_.find(static_cast<std::size_t>(static_cast<std::uint8_t*>(data) - base_));
  TIERLIB_CHECK(found != taken_.end(), "toy memory: a block was given back twice, or is not ours");
  const std::size_t offset = found->first;
  Hole hole;
  hole.bytes = found->second;
  live_ -= hole.bytes;
  taken_.erase(found);
  const EventId ready = TakeEvent();
  for (std::size_t i = 1; i < streams.size(); ++i) {  // the first comes after the others
    TIERLIB_CHECK(device_.RecordEvent(ready, streams[i]).ok(), "toy memory");
    TIERLIB_CHECK(device_.WaitEvent(streams[0], ready).ok(), "toy memory");
  }
  // A bad value here is seen as a wrong loss: the bytes are gone from now on.
  TIERLIB_CHECK(device_.Fill(data, 0xFF, hole.bytes, streams[0]).ok(), "toy memory");
  TIERLIB_CHECK(device_.RecordEvent(ready, streams[0]).ok(), "toy memory");
  hole.ready = {ready};
  const auto join = [](Hole& into, Hole& from) {
    into.bytes += from.bytes;
    into.ready.insert(into.ready.end(), from.ready.begin(), from.ready.end());
  };
  if (const auto next = holes_.find(offset + hole.bytes); next != holes_.end()) {
    join(hole, next->second);
    holes_.erase(next);
  }
  const auto after = holes_.upper_bound(offset);
  if (after != holes_.begin() && std::prev(after)->first + std::prev(after)->second.bytes == offset) {
    join(std::prev(after)->second, hole);
  } else {
    holes_[offset] = std::move(hole);
  }
}

std::size_t Memory::live() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return live_;
}

std::size_t Memory::peak() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return peak_;
}

}  // namespace toy
