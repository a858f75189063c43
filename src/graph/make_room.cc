// SavedStore: giving the device bytes of saved values up.
#include <utility>
#include <vector>

#include "allocator/pool_shortfall.h"
#include "graph/saved_store.h"

namespace tierlib {

std::uint64_t SavedStore::EvictFor(RoomRequest& request) {
  if (!request.from_program) {
    std::optional<trace::Tag> tag;
    const DirectPool* direct = request.tier.direct.get();
    const bool beyond = direct != nullptr ? direct->Rounded(request.bytes) > direct->RoomOfTag(request.tag)
                                          : IsBeyondTagLimit(*request.tier.pool, request.bytes, request.tag);
    if (beyond) tag = request.tag;
    if (tag != request.eviction.tag) {
      request.eviction = Eviction();
      request.eviction.tag = tag;
    }
  }
  return EvictNext(request.tier, request.eviction);
}

bool SavedStore::MayGo(const Snapshot& snapshot, const DeviceTier& tier, const Eviction& eviction) const {
  if (snapshot.device != tier.options.device) return false;
  if (snapshot.buffer.use_count() != 1) return false;  // leased, or the storage itself is alive: nothing would be freed
  if (!eviction.adopted && !snapshot.buffer->stream_ordered()) return false;
  if (eviction.tag && snapshot.buffer->tag() != *eviction.tag) return false;
  return !eviction.reloads_only || snapshot.residence.state() == Residency::kReplayed || snapshot.reload != nullptr ||
         snapshot.taken_back;
}

std::uint64_t SavedStore::EvictNext(DeviceTier& tier, Eviction& eviction) {
  for (;;) {
    for (auto held = holding_.lower_bound(eviction.next); held != holding_.end();) {
      Snapshot& snapshot = *held->second;
      eviction.next = held->first + 1;
      ++held;  // giving up ends this one's entry
      if (!MayGo(snapshot, tier, eviction)) continue;
      const std::uint64_t bytes = snapshot.buffer->bytes();
      if (!Evict(snapshot)) continue;
      eviction.evicted = true;
      return bytes;
    }
    if (!eviction.evicted) return 0;
    eviction.next = 0;
    eviction.evicted = false;
  }
}

bool SavedStore::Evict(Snapshot& snapshot) {
  const Residency state = snapshot.residence.state();
  if (state == Residency::kLost || (state == Residency::kDevice && options_.mode != OffloadMode::kMarshal)) {
    return false;
  }
  const std::uint64_t device_bytes = snapshot.buffer->bytes();
  // Bytes of a registered storage are booked when it is retired; blocks that came back take none away from the program.
  const bool came_back = snapshot.reload != nullptr || snapshot.replayed != nullptr || snapshot.taken_back;
  const bool frees = !came_back && !table_.Find(snapshot.key.storage).ok();
  Treatment treatment;
  treatment.decision = {trace::DecisionAction::kMove, trace::DecisionReason::kMemoryShort};
  if (state == Residency::kDevice) {
    PackQuestion question;
    question.logical_bytes = snapshot.needed.bytes();
    question.memory_short = true;
    treatment = DecideOn(snapshot, question, snapshot.needed, /*whole=*/true);
    if (!treatment.is_made_again() && treatment.decision.action != trace::DecisionAction::kMove) return false;
  }
  const bool copies = state != Residency::kReplayed && !treatment.is_made_again();
  const ByteRanges missing = copies ? snapshot.needed.Minus(snapshot.host_bytes) : ByteRanges();
  if (!missing.empty()) {
    const MarkRef& made = snapshot.replayed != nullptr ? snapshot.replayed : snapshot.produced;
    const Status copied = CopyOut(snapshot, missing, snapshot.buffer, made,
                                  {.at_once = true, .else_recomputed = treatment.recompute != nullptr});
    if (copied.ok()) BookAgain(snapshot, treatment.decision, missing.bytes());
    if (copied.code() == StatusCode::kResourceExhausted) DecideWithoutHost(treatment);
    // Where the host is full, or the copy cannot be enqueued, it stays.
    if (!copied.ok() && !treatment.is_made_again()) return false;
  }
  if (treatment.is_made_again()) {
    AdoptRecipe(snapshot.shared_from_this(), std::move(treatment.recipe), std::move(treatment.source));
    BookAgain(snapshot, treatment.decision, snapshot.needed.bytes());
  }
  if (snapshot.prefetched) PausePrefetch(**FindTier(snapshot.device));
  LetGo(snapshot);
  if (frees) BookFreed(snapshot, device_bytes);
  if (!snapshot.recipe.empty()) {
    snapshot.residence.MoveTo(Residency::kReplayable, snapshot.key.storage, device_bytes, recorder());
  } else if (snapshot.residence.state() == Residency::kBoth) {
    snapshot.residence.MoveTo(Residency::kHost, snapshot.key.storage, device_bytes, recorder());
  }
  return true;
}

StatusOr<std::uint64_t> SavedStore::Reclaim(int device, std::uint64_t bytes) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  Poll();
  (void)RunDue();
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(device));
  (void)tier->transfers->FlushBatch();  // what it holds of a value would not be freed
  Eviction eviction;
  eviction.adopted = true;
  std::uint64_t freed = 0;
  while (freed < bytes) {
    const std::uint64_t one = EvictNext(*tier, eviction);
    if (one == 0) break;
    freed += one;
  }
  return freed;
}

}  // namespace tierlib
