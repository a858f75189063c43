// SavedStore: values that are made again from others: finding a recipe, and running it.
#include <algorithm>
#include <utility>
#include <vector>

#include "graph/data_movement.h"
#include "graph/saved_store.h"

namespace tierlib {

bool SavedStore::IsAvailable(const ContentKey& key, const ByteRanges& bytes) const {
  const std::shared_ptr<Snapshot> snapshot = FindSnapshot(key);
  if (snapshot != nullptr && snapshot->written_version == 0 && !snapshot->abandoned) {
    switch (snapshot->residence.state()) {
      case Residency::kDevice:
        return snapshot->buffer != nullptr && snapshot->buffer_bytes.Contains(bytes) &&
               (!snapshot->buffer->adopted() || snapshot->buffer->has_keepalive());
      case Residency::kLeaving:
      case Residency::kBoth:
      case Residency::kHost: return snapshot->host_bytes.Contains(bytes);
      case Residency::kReplayable:
      case Residency::kReplayed:
      case Residency::kLost: return false;
    }
  }
  // A persistent storage stays on the device: what is made from it needs no copy.
  const StatusOr<Storage*> storage = const_cast<StorageTable&>(table_).Find(key.storage);
  return storage.ok() && (*storage)->version == key.version && (*storage)->holds == Holds::kPersistent &&
         !(*storage)->adopted;
}

int SavedStore::HopsFrom(const Snapshot& snapshot) const {
  int most = 0;
  for (const std::weak_ptr<Snapshot>& one : snapshot.dependents) {
    const std::shared_ptr<Snapshot> dependent = one.lock();
    if (dependent == nullptr || dependent->source.get() != &snapshot) continue;
    most = std::max(most, static_cast<int>(dependent->recipe.size()) + HopsFrom(*dependent));
  }
  return most;
}

bool SavedStore::FindRecipe(Snapshot& snapshot, const ByteRanges& bytes, std::vector<RecipeStep>* recipe,
                            std::shared_ptr<Snapshot>* source) {
  // What others are made from lengthens their recipes: the limit holds from the first source to the last of them.
  const int hops = options_.hop_limit - HopsFrom(snapshot);
  if (hops <= 0) return false;
  *recipe = lineage_.Walk(snapshot.key, bytes, hops,
                          [this](const ContentKey& key, const ByteRanges& needed)
                              ABSL_NO_THREAD_SAFETY_ANALYSIS { return IsAvailable(key, needed); });
  if (recipe->empty()) return false;
  const ContentKey& start = recipe->front().from();
  *source = FindSnapshot(start);
  if (*source == nullptr) {  // a persistent storage that nothing has saved yet
    // Work that made it is known only through what was made from it: that came later. The other way round, the work
    // may still be on its way, on a stream that nobody named.
    const auto reversed = [](const RecipeStep& step) { return step.reversed; };
    if (std::any_of(recipe->begin(), recipe->end(), reversed)) return false;
    const StatusOr<Storage*> storage = table_.Find(start.storage);
    if (!storage.ok()) return false;
    *source = NewSnapshot(**storage, /*shared=*/true);
    Hold(**source, (*storage)->buffer, ByteRanges({0, (*storage)->bytes}));
  }
  return true;
}

void SavedStore::AdoptRecipe(const std::shared_ptr<Snapshot>& snapshot, std::vector<RecipeStep> recipe,
                             std::shared_ptr<Snapshot> source) {
  if (source != nullptr) {
    source->needed = source->needed.Union(recipe.front().from_bytes());
    if (source->produced == nullptr) source->produced = snapshot->produced;
    auto& dependents = source->dependents;
    dependents.erase(
        std::remove_if(dependents.begin(), dependents.end(), [](const auto& one) { return one.expired(); }),
        dependents.end());
    dependents.push_back(snapshot);
  }
  snapshot->recipe = std::move(recipe);
  snapshot->source = std::move(source);
}

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::RunRecipe(const std::shared_ptr<Snapshot>& snapshot,
                                                              Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot->device));
  const std::vector<RecipeStep> recipe = snapshot->recipe;
  const std::shared_ptr<Snapshot> source = snapshot->source;
  std::shared_ptr<DeviceBuffer> from;
  if (source != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(from, MakeResident(source, stream));
  }
  // While the program's allocator or a callback ran, another thread may have announced a write to the source: what was
  // read then may be torn, and the snapshot may have been made again by that thread. What we made is dropped.
  const std::uint64_t version = source != nullptr ? source->written_version : 0;
  const auto overtaken = [&] {
    return snapshot->source != source || (source != nullptr && source->written_version != version);
  };
  for (const RecipeStep& step : recipe) {
    const ByteRange hull = step.to_bytes().hull();
    TIERLIB_ASSIGN_OR_RETURN(
        std::shared_ptr<DeviceBuffer> to,
        AllocateDevice(*tier, hull.begin, hull.end - hull.begin, stream, trace::Tag::kReload, /*reload=*/true));
    to->SetOwner(step.to().storage);
    // Where the program's own computing has been done by another thread meanwhile, once is enough.
    if (overtaken() || (from == nullptr && snapshot->buffer != nullptr)) return MakeResident(snapshot, stream);
    TIERLIB_RETURN_IF_ERROR(FlushBeforeNaming(*tier, stream));
    if (from != nullptr && &step == &recipe.front()) NoteRead(*source, *from, *tier, stream);
    if (from != nullptr) from->UsedOn(stream);
    TIERLIB_RETURN_IF_ERROR(from != nullptr ? RunStep(step, *to, *from, *tier, stream)
                                            : RunRecompute(*snapshot, step, *to, stream));
    if (overtaken()) return MakeResident(snapshot, stream);
    // No write comes between the check and the note, which the next one waits for.
    if (source != nullptr && &step == &recipe.front()) TIERLIB_RETURN_IF_ERROR(NoteReplay(*source, *tier, stream));
    NoteMade(*snapshot, step, hull.end - hull.begin, /*recomputed=*/from == nullptr);
    from = std::move(to);
  }
  TIERLIB_RETURN_IF_ERROR(VerifyReplay(*snapshot, recipe.back().to_bytes(), *from, stream));
  if (snapshot->buffer != nullptr) {  // another thread was faster while a callback ran
    TIERLIB_RETURN_IF_ERROR(WaitFor(*snapshot, stream));
    return snapshot->buffer;
  }
  TIERLIB_ASSIGN_OR_RETURN(MarkRef replayed, tier->events->MarkNow(stream));
  snapshot->residence.MoveTo(Residency::kReplayed, snapshot->key.storage, from->bytes(), recorder());
  Hold(*snapshot, from, recipe.back().to_bytes());
  snapshot->replayed = std::move(replayed);
  return from;
}

void SavedStore::NoteMade(const Snapshot& snapshot, const RecipeStep& step, std::uint64_t bytes, bool recomputed) {
  (recomputed ? ledger_.recomputed : ledger_.replayed) += bytes;
  ledger_.recomputes += recomputed ? 1 : 0;
  trace::Write(recorder(), trace::Event::kReplay, trace::Tag::kReload, recomputed ? 1 : 0, snapshot.trace_label,
               step.to().storage.ToInteger(), bytes);
}

Status SavedStore::NoteReplay(const Snapshot& source, DeviceTier& tier, Stream stream) {
  if (source.reload != nullptr) return OkStatus();  // it read a block of our own
  const StatusOr<Storage*> storage = table_.Find(source.key.storage);
  if (!storage.ok()) return OkStatus();  // nobody can write those bytes
  TIERLIB_ASSIGN_OR_RETURN(MarkRef mark, tier.events->MarkNow(stream));
  (*storage)->NoteReader(std::move(mark));
  return OkStatus();
}

Status SavedStore::RunStep(const RecipeStep& step, DeviceBuffer& to, DeviceBuffer& from, DeviceTier& tier,
                           Stream stream) {
  if (step.derivation->replay.kind == Replay::Kind::kCopy) {
    return LaunchStridedCopy(*tier.backend, stream, to.storage_base(), step.to_layout(), from.storage_base(),
                             step.from_layout());
  }
  ReplayArguments arguments;
  arguments.destination = to.storage_base();
  arguments.destination_layout = step.to_layout();
  arguments.source = from.storage_base();
  arguments.source_layout = step.from_layout();
  arguments.stream = stream;
  const MutexUnlock unlock(mutex_);  // the program's code runs without our lock
  const Replay& replay = step.derivation->replay;
  return step.reversed ? replay.inverse(arguments) : replay.function(arguments);
}

}  // namespace tierlib
