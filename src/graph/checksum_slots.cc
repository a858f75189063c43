#include "graph/checksum_slots.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "tierlib/bytes.h"

namespace tierlib {

static_assert(sizeof(DeviceChecksum) == sizeof(ChecksumWords) && alignof(DeviceChecksum) == alignof(ChecksumWords),
              "the device writes a DeviceChecksum as ChecksumWords");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "the device takes no lock");

ChecksumSlots::~ChecksumSlots() {
  for (const MarkRef& mark : sum_used_) {
    if (mark != nullptr) (void)tier_.backend->SynchronizeEvent(mark->event);
  }
  for (const auto& [slot, mark] : used_) {
    if (mark != nullptr) (void)tier_.backend->SynchronizeEvent(mark->event);
  }
}

StatusOr<std::shared_ptr<DeviceChecksum>> ChecksumSlots::Take() {
  DeviceChecksum* slot = TakeIdle();
  if (slot == nullptr) {
    if (fresh_.empty()) TIERLIB_RETURN_IF_ERROR(Grow());
    slot = fresh_.back();
    fresh_.pop_back();
  }
  slot->value.store(DeviceChecksum::kNone);
  slot->differed.store(0);
  return std::shared_ptr<DeviceChecksum>(slot, [this](DeviceChecksum* gone) { Return(gone); });
}

DeviceChecksum* ChecksumSlots::TakeIdle() {
  MutexLock lock(mutex_);
  // The first ones came back first; the rest is most likely pending too, and is looked at before memory is taken.
  constexpr std::size_t kLooks = 4;
  const std::size_t looks = fresh_.empty() ? idle_.size() : std::min(kLooks, idle_.size());
  for (std::size_t i = 0; i < looks; ++i) {
    if (!HasEnded(idle_[i])) continue;
    DeviceChecksum* const slot = idle_[i];
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    return slot;
  }
  return nullptr;
}

bool ChecksumSlots::HasEnded(const DeviceChecksum* slot) {
  MarkRef& mark = used_[slot];
  if (mark == nullptr) return true;
  const StatusOr<bool> done = tier_.backend->EventDone(mark->event);
  if (!done.ok() || !*done) return false;
  mark = nullptr;
  return true;
}

void ChecksumSlots::Return(DeviceChecksum* slot) {
  MutexLock lock(mutex_);
  idle_.push_back(slot);
}

Status ChecksumSlots::Grow() {
  constexpr std::size_t kBytes = kSlotsAtOnce * sizeof(DeviceChecksum);
  const Stream stream = tier_.transfers->out_stream();  // whatever used the memory before has ended, or this one waits
  const StatusOr<void*> block = tier_.AllocateHostBlock(Tier::kPinned, kBytes, stream, trace::Tag::kWorkspace);
  if (block.status().code() == StatusCode::kResourceExhausted) {
    return ResourceExhaustedError("pinned memory has no " + FormatBytes(kBytes) +
                                  " for checksums (Options::checksums)");
  }
  TIERLIB_RETURN_IF_ERROR(block.status());
  std::shared_ptr<HostBuffer> slab;
  try {
    slab = std::make_shared<HostBuffer>(*tier_.pinned, *block, kBytes);
  } catch (const std::bad_alloc&) {
    tier_.pinned->Free(*block, {&stream, 1});
    throw;
  }
  // A copy of the memory's former owner may still be about to write it.
  TIERLIB_RETURN_IF_ERROR(tier_.backend->SynchronizeStream(stream));
  auto* const first = static_cast<DeviceChecksum*>(*block);
  const std::size_t slots = (slabs_.size() + 1) * kSlotsAtOnce;
  used_.reserve(slots);
  fresh_.reserve(kSlotsAtOnce);
  MutexLock lock(mutex_);
  idle_.reserve(slots);
  slabs_.push_back(std::move(slab));
  for (std::size_t i = kSlotsAtOnce; i > 0; --i) fresh_.push_back(new (first + i - 1) DeviceChecksum);
  return OkStatus();
}

Status ChecksumSlots::Launch(const ByteRanges& bytes, const DeviceBuffer& buffer, DeviceChecksum& checksum,
                             Stream stream) {
  if (sums_ == nullptr) {
    constexpr std::size_t kBytes = kRing * sizeof(std::uint32_t);
    const auto make = [&](auto& pool) -> StatusOr<std::unique_ptr<DeviceBuffer>> {
      TIERLIB_ASSIGN_OR_RETURN(void* const block, pool.Allocate(kBytes, stream, trace::Tag::kWorkspace));
      try {
        return std::make_unique<DeviceBuffer>(pool, block, 0, kBytes, trace::Tag::kWorkspace);
      } catch (const std::bad_alloc&) {
        pool.Free(block, {&stream, 1});
        throw;
      }
    };
    TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> sums,
                             tier_.direct != nullptr ? make(*tier_.direct) : make(*tier_.pool));
    // Later looks may come from streams that nothing orders after this one.
    TIERLIB_RETURN_IF_ERROR(tier_.backend->SynchronizeStream(stream));
    sums_ = std::move(sums);
  }
  const std::size_t place = next_sum_++ % kRing;
  MarkRef& used = sum_used_[place];
  if (used != nullptr) TIERLIB_RETURN_IF_ERROR(tier_.events->WaitOn(stream, *used));
  std::vector<ChecksumRange> ranges;
  ranges.reserve(bytes.ranges().size());
  const char* const base = static_cast<const char*>(buffer.storage_base());
  for (const ByteRange& range : bytes.ranges()) ranges.push_back({base + range.begin, range.end - range.begin});
  ChecksumLaunch launch;
  launch.ranges = ranges.data();
  launch.count = ranges.size();
  launch.sum = static_cast<std::uint32_t*>(sums_->data()) + place;
  launch.result = reinterpret_cast<ChecksumWords*>(&checksum);
  launch.none = DeviceChecksum::kNone;
  const Status launched = tier_.backend->EnqueueNative([&] { return kernel_(launch, stream); });
  used = tier_.events->MarkOrWait(stream);  // also where a part of it runs
  used_[&checksum] = used;
  return launched;
}

}  // namespace tierlib
