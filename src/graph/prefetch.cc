// SavedStore: bringing values back before they are asked for, so that a copy in runs beside the work of the values
// before it. Only into memory that is free, and at most DeviceOptions::prefetch_bytes at a time. What came back and was
// not asked for yet gives its memory up as every reload does: the host has its bytes.
#include <memory>
#include <new>
#include <utility>

#include "graph/saved_store.h"

namespace tierlib {
namespace {

// Values looked at for one that was asked for: many are on the device already.
constexpr int kLookAhead = 16;
// Where memory was too short for what had come back, so many more values are asked for before the next try.
constexpr int kPause = 16;

bool IsReadable(const Snapshot& snapshot) {
  return snapshot.written_version == 0 && !snapshot.abandoned && snapshot.unreadable.ok();
}

// What has to come back for the snapshot to be had; null where nothing has.
Snapshot* ToReload(Snapshot* snapshot, bool checksums) {
  if (!IsReadable(*snapshot)) return nullptr;
  while (snapshot->buffer == nullptr && snapshot->residence.state() == Residency::kReplayable) {
    if (snapshot->may_be_taken_back()) return nullptr;
    snapshot = snapshot->source.get();
    if (snapshot == nullptr) return nullptr;  // the program computes it
  }
  const Residency state = snapshot->residence.state();
  // To compare bytes with their checksum is to wait for the copy out.
  if (state != Residency::kHost && (state != Residency::kLeaving || checksums)) return nullptr;
  if (snapshot->buffer != nullptr || snapshot->packed || !IsReadable(*snapshot)) return nullptr;
  if (snapshot->may_be_taken_back()) return nullptr;
  const std::shared_ptr<DeviceBuffer> original = snapshot->original.lock();
  return original != nullptr && !original->adopted() ? nullptr : snapshot;
}

}  // namespace

void SavedStore::BeginBackward() {
  if (fork_.in_child()) return;
  Locked lock(*this);
  Poll();
  for (const auto& tier : tiers_) {
    (void)tier->transfers->FlushBatch();  // where that fails, whoever needs it tries again
    PrefetchAfter(ReloadOrder::kStart, *tier);
  }
}

bool SavedStore::NoteAsked(Snapshot& snapshot, DeviceTier& tier) {
  if (!prefetches_ || std::exchange(snapshot.asked_for, true)) return false;
  reload_order_.NoteUnpack(snapshot.pack_order);
  if (tier.prefetch_pause > 0) --tier.prefetch_pause;
  return true;
}

void SavedStore::NotePrefetched(Snapshot& snapshot, DeviceTier& tier) {
  snapshot.prefetched = true;
  tier.prefetched_bytes += snapshot.buffer->bytes();
}

void SavedStore::NotePrefetchUsed(Snapshot& snapshot) {
  if (!std::exchange(snapshot.prefetched, false)) return;
  (*FindTier(snapshot.device))->prefetched_bytes -= snapshot.buffer->bytes();
}

void SavedStore::DropPrefetched(Snapshot& snapshot) {
  if (!snapshot.prefetched) return;
  NotePrefetchUsed(snapshot);
  BookInVain(snapshot, snapshot.reload->bytes);
}

void SavedStore::PrefetchAfter(std::uint64_t pack, DeviceTier& tier) {
  const std::uint64_t budget = tier.options.prefetch_bytes;
  if (tier.prefetched_bytes >= budget || tier.prefetch_pause > 0) return;
  Snapshot* next = reload_order_.After(pack);
  for (int i = 0; i < kLookAhead && next != nullptr; ++i) {
    const std::uint64_t order = next->pack_order;
    Snapshot* const missing = next->device == tier.options.device ? ToReload(next, options_.checksums) : nullptr;
    if (missing != nullptr) {
      const std::shared_ptr<Snapshot> alive = missing->shared_from_this();  // code of the program may run
      const ByteRange hull = alive->host_bytes.hull();
      if (tier.prefetched_bytes + (hull.end - hull.begin) > budget) return;
      if (!TryReloadAhead(*alive)) {
        if (tier.options.allocator != nullptr) PausePrefetch(tier);  // which may have done much to find some
        return;
      }
    }
    next = reload_order_.After(order);
  }
}

bool SavedStore::TryReloadAhead(Snapshot& snapshot) {
  try {
    return Reload(snapshot, /*ahead=*/true).ok();  // where it is not, whoever asks for the value is told
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void SavedStore::PausePrefetch(DeviceTier& tier) { tier.prefetch_pause = kPause; }

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::AllocateAhead(DeviceTier& tier, std::uint64_t origin,
                                                                  std::uint64_t bytes, Stream stream) {
  const bool from_program = tier.options.allocator != nullptr;
  const std::uint64_t budget = tier.options.reload_budget;
  const std::uint64_t target = tier.options.target_peak;
  const bool fits = from_program || ((tier.direct != nullptr || tier.pool->LargestHole() >= bytes) &&
                                     (target == 0 || tier.LiveBytes() + bytes <= target));
  if (!fits || (budget > 0 && reloaded_bytes_.load() + bytes > budget)) return Status(StatusCode::kResourceExhausted);
  const RoomRequest request{tier, bytes, stream, trace::Tag::kReload, from_program};
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> taken, TakeDevice(request, origin));
  return Counted(std::move(taken), stream);
}

}  // namespace tierlib
