// SavedStore: device memory, and giving saved bytes up where it is short.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "graph/saved_store.h"
#include "tierlib/bytes.h"

namespace tierlib {

void SavedStore::SettleArrivals(Snapshot& snapshot) {
  if (snapshot.residence.state() != Residency::kLeaving) return;
  for (const HostPiece& piece : snapshot.host) {
    if (!piece.arrival->ended) return;
    if (!piece.arrival->status.ok()) {
      snapshot.residence.MoveTo(Residency::kLost, snapshot.key.storage, snapshot.needed.bytes(), recorder());
      return;
    }
  }
  snapshot.residence.MoveTo(snapshot.buffer != nullptr ? Residency::kBoth : Residency::kHost, snapshot.key.storage,
                            snapshot.host_bytes.bytes(), recorder());
}

void SavedStore::Poll() {
  for (const auto& tier : tiers_) {
    tier->transfers->Poll();
    tier->keepalives->Poll();
  }
  while (!leaving_.empty()) {
    const std::shared_ptr<Snapshot> snapshot = leaving_.front().lock();
    if (snapshot != nullptr) {
      SettleArrivals(*snapshot);
      if (snapshot->residence.state() == Residency::kLeaving) break;
    }
    leaving_.pop_front();
  }
  stalls_.Poll();
}

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::AllocateDevice(DeviceTier& tier, std::uint64_t origin,
                                                                   std::uint64_t bytes, Stream stream, trace::Tag tag,
                                                                   bool reload) {
  const std::uint64_t budget = tier.options.reload_budget;
  if (reload && budget > 0) {
    while (reloaded_bytes_.load() + bytes > budget && EvictOne(tier, /*reloads_only=*/true, /*adopted=*/true) > 0) {
    }
  }
  const auto counted = [this, reload](DeviceBuffer* buffer) {
    if (!reload) return std::shared_ptr<DeviceBuffer>(buffer);
    reloaded_bytes_ += buffer->bytes();
    return std::shared_ptr<DeviceBuffer>(buffer, [this](DeviceBuffer* gone) {
      reloaded_bytes_ -= gone->bytes();
      delete gone;
    });
  };
  if (reload && tier.options.allocator != nullptr) {
    for (;;) {
      void* data = nullptr;
      {
        const MutexUnlock unlock(mutex_);  // the program's code runs without our lock
        data = tier.options.allocator->allocate(bytes, stream);
      }
      if (data != nullptr) {
        auto buffer = counted(new DeviceBuffer(tier.options.allocator, *tier.events, deferred_, data, origin, bytes));
        buffer->UsedOn(stream);
        return buffer;
      }
      if (EvictOne(tier, /*reloads_only=*/true, /*adopted=*/true) == 0) {
        return ResourceExhaustedError("the program's device allocator has no " + FormatBytes(bytes) + " for a reload");
      }
      const MutexUnlock unlock(mutex_);
      deferred_.Run();
    }
  }
  for (;;) {
    const StatusOr<void*> block = tier.pool->Allocate(bytes, stream, tag);
    if (block.ok()) {
      auto buffer = counted(new DeviceBuffer(*tier.pool, *block, origin, bytes));
      buffer->UsedOn(stream);
      return buffer;
    }
    if (block.status().code() != StatusCode::kResourceExhausted) return block.status();
    if (EvictOne(tier, /*reloads_only=*/false, /*adopted=*/false) == 0) return DescribeFull(tier, bytes);
  }
}

std::uint64_t SavedStore::EvictOne(DeviceTier& tier, bool reloads_only, bool adopted) {
  for (const auto& [order, snapshot] : holding_) {
    if (snapshot->device != tier.options.device) continue;
    if (snapshot->buffer.use_count() != 1) continue;  // leased, or the storage itself is alive: nothing would be freed
    if (!adopted && !snapshot->buffer->stream_ordered()) continue;
    const Residency state = snapshot->residence.state();
    if (reloads_only && state != Residency::kReplayed && snapshot->reload == nullptr) continue;
    const std::uint64_t bytes = snapshot->buffer->bytes();
    if (Evict(*snapshot)) return bytes;
  }
  return 0;
}

bool SavedStore::Evict(Snapshot& snapshot) {
  const Residency state = snapshot.residence.state();
  if (state == Residency::kLost || (state == Residency::kDevice && options_.mode != OffloadMode::kMarshal)) {
    return false;
  }
  const std::uint64_t device_bytes = snapshot.buffer->bytes();
  // Bytes of a registered storage are booked when it is retired; blocks that came back take none away from the program.
  const bool frees =
      snapshot.reload == nullptr && snapshot.replayed == nullptr && !table_.Find(snapshot.key.storage).ok();
  bool replayable = state == Residency::kReplayed;
  if (state == Residency::kDevice) {
    PackQuestion question;
    question.mode = options_.mode;
    question.policy = options_.policy;
    question.holds = snapshot.holds;
    question.logical_bytes = snapshot.needed.bytes();
    question.minimum_bytes = options_.minimum_bytes;
    question.missing_bytes = snapshot.needed.bytes();
    question.memory_short = true;
    std::vector<RecipeStep> recipe;
    std::shared_ptr<Snapshot> source;
    question.lineage_found = FindRecipe(snapshot, snapshot.needed, &recipe, &source);
    const Decision decision = Decide(question);
    replayable = decision.action == trace::DecisionAction::kReplay;
    if (!replayable && decision.action != trace::DecisionAction::kMove) return false;
    if (replayable) {
      RecordDecision(snapshot, decision, snapshot.needed.bytes());
      ledger_.avoided_lineage += snapshot.needed.bytes();
      ledger_.reconsidered += snapshot.needed.bytes();
      AdoptRecipe(snapshot.shared_from_this(), std::move(recipe), std::move(source));
    }
  }
  const ByteRanges missing = replayable ? ByteRanges() : snapshot.needed.Minus(snapshot.host_bytes);
  if (!missing.empty()) {
    const MarkRef& made = snapshot.replayed != nullptr ? snapshot.replayed : snapshot.produced;
    // Where the host is full, or the copy cannot be enqueued, it stays.
    if (!CopyOut(snapshot, missing, snapshot.buffer, *made).ok()) return false;
    RecordDecision(snapshot, {trace::DecisionAction::kMove, trace::DecisionReason::kMemoryShort}, missing.bytes());
    ledger_.moved += missing.bytes();
    ledger_.reconsidered += missing.bytes();
  }
  LetGo(snapshot);
  if (frees) ledger_.freed += device_bytes;
  if (replayable) {
    snapshot.residence.MoveTo(Residency::kReplayable, snapshot.key.storage, device_bytes, recorder());
  } else if (snapshot.residence.state() == Residency::kBoth) {
    snapshot.residence.MoveTo(Residency::kHost, snapshot.key.storage, device_bytes, recorder());
  }
  return true;
}

StatusOr<std::uint64_t> SavedStore::Reclaim(int device, std::uint64_t bytes) {
  Locked lock(*this);
  Poll();
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(device));
  std::uint64_t freed = 0;
  while (freed < bytes) {
    const std::uint64_t one = EvictOne(*tier, /*reloads_only=*/false, /*adopted=*/true);
    if (one == 0) break;
    freed += one;
  }
  return freed;
}

Status SavedStore::DescribeFull(const DeviceTier& tier, std::uint64_t bytes) const {
  const TierStatistics figures = tier.pool->statistics();
  std::string message = tier.backend->info().name + " is full: asked " + FormatBytes(bytes) + ", free " +
                        FormatBytes(figures.capacity - figures.live - figures.waste) + " of " +
                        FormatBytes(figures.capacity) + ", largest hole " + FormatBytes(tier.pool->LargestHole());
  std::vector<TagStatistics> tags = figures.tags;
  std::sort(tags.begin(), tags.end(), [](const auto& a, const auto& b) { return a.live > b.live; });
  for (std::size_t i = 0; i < std::min<std::size_t>(tags.size(), 3); ++i) {
    message += (i == 0 ? "; " : ", ") + std::string(tags[i].tag) + " " + FormatBytes(tags[i].live);
  }
  const auto largest = table_.LargestLabels(3);
  for (std::size_t i = 0; i < largest.size(); ++i) {
    message += (i == 0 ? "; held by '" : ", '") + largest[i].label + "' " + FormatBytes(largest[i].bytes);
  }
  std::uint64_t held = 0;
  for (const auto& [order, snapshot] : holding_) held += snapshot->buffer->bytes();
  if (held > 0) message += "; saved values that may not or cannot move hold " + FormatBytes(held);
  return ResourceExhaustedError(message);
}

}  // namespace tierlib
