// SavedStore: taking a value into care.
#include <string>
#include <utility>
#include <vector>

#include "graph/data_movement.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

// Where each byte of `ranges` goes in a host block that holds them one after another.
std::vector<CopyRun> RunsToHost(const ByteRanges& ranges, const DeviceBuffer& from, void* to) {
  std::vector<CopyRun> runs;
  runs.reserve(ranges.ranges().size());
  char* host = static_cast<char*>(to);
  for (const ByteRange& range : ranges.ranges()) {
    const std::uint64_t bytes = range.end - range.begin;
    runs.push_back({host, static_cast<const char*>(from.data()) + (range.begin - from.origin()), bytes});
    host += bytes;
  }
  return runs;
}

}  // namespace

StatusOr<Saved> SavedStore::Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label) {
  auto value = std::make_shared<internal::SavedValue>();
  value->store = shared_from_this();
  value->layout = view.layout;
  Locked lock(*this);
  Poll();
  TIERLIB_ASSIGN_OR_RETURN(Storage * storage, table_.Find(view.storage));
  TIERLIB_RETURN_IF_ERROR(view.layout.Validate(storage->bytes));
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(storage->device));
  const std::uint64_t logical = static_cast<std::uint64_t>(view.layout.logical_bytes());
  ++ledger_.packs;
  ledger_.naive += logical;
  trace::Write(recorder(), trace::Event::kPack, trace::Tag::kSaved, 0,
               recorder_ != nullptr ? recorder_->Intern(label) : 0, view.storage.ToInteger(), logical);
  if (logical == 0) return Saved(std::move(value));
  tier->pool->Tick(stream);
  storage->buffer->UsedOn(stream);

  std::shared_ptr<DeviceBuffer> buffer = storage->buffer;
  if (storage->adopted) {
    storage->unkept = storage->unkept || keepalive == nullptr;
    buffer =
        std::make_shared<DeviceBuffer>(std::move(keepalive), *tier->keepalives, stream, buffer->data(), storage->bytes);
  }
  if (options_.mode == OffloadMode::kNaive) {
    value->snapshot = NewSnapshot(*storage, /*shared=*/false);
    value->snapshot->label = label;
    TIERLIB_RETURN_IF_ERROR(PackNaive(*value->snapshot, view.layout, buffer, stream));
    return Saved(std::move(value));
  }
  std::shared_ptr<Snapshot> snapshot = FindSnapshot({storage->id, storage->version});
  if (snapshot == nullptr) {
    snapshot = NewSnapshot(*storage, /*shared=*/true);
    snapshot->label = label;
  } else if (holding_.erase(snapshot->pack_order) > 0) {  // backward needs it earlier than thought
    snapshot->pack_order = next_pack_++;
    holding_[snapshot->pack_order] = snapshot.get();
  }
  const std::optional<ByteRanges> bytes = ByteRanges::Of(view.layout);
  if (!bytes) {  // scattered beyond description: stays on the device
    ledger_.kept += logical;
    RecordDecision(*snapshot, {trace::DecisionAction::kKeep, trace::DecisionReason::kPolicy}, logical);
    snapshot->needed = snapshot->needed.Union(ByteRanges({0, storage->bytes}));
    TIERLIB_RETURN_IF_ERROR(Keep(*snapshot, buffer, stream));
    value->snapshot = std::move(snapshot);
    return Saved(std::move(value));
  }
  const bool made_again =
      snapshot->residence.state() == Residency::kReplayable || snapshot->residence.state() == Residency::kReplayed;
  if (made_again && !snapshot->recipe.back().to_bytes().Contains(*bytes)) {
    // The recipe does not give these bytes: they are saved by themselves.
    snapshot = NewSnapshot(*storage, /*shared=*/false);
    snapshot->label = label;
  }
  // What came back for earlier values may not have these bytes.
  if (snapshot->buffer != nullptr && !snapshot->buffer_bytes.Contains(*bytes)) {
    const bool whole = snapshot->host_bytes.Contains(snapshot->needed);
    LetGo(*snapshot);
    if (!whole) {
      Hold(*snapshot, buffer, ByteRanges({0, storage->bytes}));
    } else if (snapshot->residence.state() == Residency::kBoth) {
      snapshot->residence.MoveTo(Residency::kHost, snapshot->key.storage, bytes->bytes(), recorder());
    }
  }
  value->snapshot = snapshot;
  TIERLIB_RETURN_IF_ERROR(PackMarshal(snapshot, view.layout, *bytes, buffer, stream));
  return Saved(std::move(value));
}

Status SavedStore::Keep(Snapshot& snapshot, const std::shared_ptr<DeviceBuffer>& buffer, Stream stream) {
  const bool unkept = snapshot.buffer != nullptr && snapshot.buffer->adopted() && !snapshot.buffer->has_keepalive();
  if (snapshot.buffer == nullptr || (unkept && buffer->has_keepalive())) {
    Hold(snapshot, buffer, ByteRanges({0, snapshot.storage_bytes}));
  }
  const Residency state = snapshot.residence.state();
  if (state == Residency::kHost || state == Residency::kReplayable) {
    snapshot.residence.MoveTo(state == Residency::kHost ? Residency::kBoth : Residency::kReplayed, snapshot.key.storage,
                              buffer->bytes(), recorder());
  }
  if (snapshot.produced == nullptr || snapshot.produced->stream != stream) {
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
    TIERLIB_ASSIGN_OR_RETURN(snapshot.produced, tier->events->MarkNow(stream));
  }
  return OkStatus();
}

Status SavedStore::PackMarshal(const std::shared_ptr<Snapshot>& snapshot, const Layout& layout, const ByteRanges& bytes,
                               const std::shared_ptr<DeviceBuffer>& buffer, Stream stream) {
  Snapshot& saved = *snapshot;
  const std::uint64_t logical = static_cast<std::uint64_t>(layout.logical_bytes());
  const bool made_again =
      saved.residence.state() == Residency::kReplayable || saved.residence.state() == Residency::kReplayed;
  const ByteRanges there = made_again ? bytes : bytes.Intersection(saved.host_bytes);
  const ByteRanges missing = bytes.Minus(there);
  const std::uint64_t repeated = logical - bytes.bytes();  // elements that share bytes within this one value (expand)

  PackQuestion question;
  question.mode = options_.mode;
  question.policy = options_.policy;
  question.holds = saved.holds;
  question.logical_bytes = logical;
  question.minimum_bytes = options_.minimum_bytes;
  question.missing_bytes = missing.bytes();
  Decision decision = Decide(question);
  std::vector<RecipeStep> recipe;
  std::shared_ptr<Snapshot> source;
  if (decision.action == trace::DecisionAction::kMove && there.empty() && saved.needed.empty()) {
    question.lineage_found = FindRecipe(saved, missing, &recipe, &source);
    if (question.lineage_found) decision = Decide(question);
  }
  saved.needed = saved.needed.Union(bytes);
  const auto book_identity = [&](std::uint64_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ledger_.avoided_identity += count;
    if (count > 0) {
      RecordDecision(saved, {trace::DecisionAction::kReference, trace::DecisionReason::kSameStorage}, count);
    }
  };
  switch (decision.action) {
    case trace::DecisionAction::kFreesNothing:
      ledger_.frees_nothing += logical;
      RecordDecision(saved, decision, logical);
      return Keep(saved, buffer, stream);
    case trace::DecisionAction::kKeep:
      ledger_.kept += logical;
      RecordDecision(saved, decision, logical);
      return Keep(saved, buffer, stream);
    case trace::DecisionAction::kReference: book_identity(logical); return OkStatus();
    case trace::DecisionAction::kReplay:
      book_identity(repeated);
      RecordDecision(saved, decision, missing.bytes());
      ledger_.avoided_lineage += missing.bytes();
      if (saved.produced == nullptr) {
        TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(saved.device));
        TIERLIB_ASSIGN_OR_RETURN(saved.produced, tier->events->MarkNow(stream));
      }
      AdoptRecipe(snapshot, std::move(recipe), std::move(source));
      saved.residence.MoveTo(Residency::kReplayable, saved.key.storage, missing.bytes(), recorder());
      return OkStatus();
    case trace::DecisionAction::kMove: break;
  }
  book_identity(there.bytes() + repeated);
  if (saved.produced == nullptr || saved.produced->stream != stream || !saved.host.empty()) {
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(saved.device));
    TIERLIB_ASSIGN_OR_RETURN(saved.produced, tier->events->MarkNow(stream));
  }
  const Status copied = CopyOut(saved, missing, buffer);
  if (copied.code() == StatusCode::kResourceExhausted) {
    RecordDecision(saved, {trace::DecisionAction::kKeep, trace::DecisionReason::kHostFull}, missing.bytes());
    ledger_.kept += missing.bytes();
    return Keep(saved, buffer, stream);
  }
  TIERLIB_RETURN_IF_ERROR(copied);
  RecordDecision(saved, decision, missing.bytes());
  ledger_.moved += missing.bytes();
  return OkStatus();
}

Status SavedStore::PackNaive(Snapshot& saved, const Layout& layout, const std::shared_ptr<DeviceBuffer>& buffer,
                             Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(saved.device));
  const std::uint64_t logical = static_cast<std::uint64_t>(layout.logical_bytes());
  saved.packed = true;
  saved.packed_from = layout;
  saved.original.reset();
  std::shared_ptr<DeviceBuffer> from = buffer;
  ByteRanges bytes(
      {static_cast<std::uint64_t>(layout.offset_bytes), static_cast<std::uint64_t>(layout.offset_bytes) + logical});
  if (!layout.is_contiguous()) {
    TIERLIB_ASSIGN_OR_RETURN(from, AllocateDevice(*tier, 0, logical, stream, trace::Tag::kWorkspace, /*reload=*/true));
    buffer->UsedOn(stream);
    TIERLIB_RETURN_IF_ERROR(LaunchStridedCopy(*tier->backend, stream, from->storage_base(), PackedLayout(layout),
                                              buffer->storage_base(), layout));
    bytes = ByteRanges({0, logical});
  }
  TIERLIB_ASSIGN_OR_RETURN(saved.produced, tier->events->MarkNow(stream));
  saved.needed = bytes;
  const Status copied = CopyOut(saved, bytes, from);
  if (copied.code() == StatusCode::kResourceExhausted) {
    saved.packed = false;
    RecordDecision(saved, {trace::DecisionAction::kKeep, trace::DecisionReason::kHostFull}, logical);
    ledger_.kept += logical;
    return Keep(saved, buffer, stream);
  }
  TIERLIB_RETURN_IF_ERROR(copied);
  RecordDecision(saved, {trace::DecisionAction::kMove, trace::DecisionReason::kMode}, logical);
  ledger_.moved += logical;
  return OkStatus();
}

// --- parts ----------------------------------------------------------------------------------------------------------

Status SavedStore::CopyOut(Snapshot& snapshot, const ByteRanges& bytes, const std::shared_ptr<DeviceBuffer>& buffer) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  if (tier->options.in_flight_limit > 0) {
    const std::uint64_t limit = tier->options.in_flight_limit;
    TIERLIB_RETURN_IF_ERROR(tier->transfers->AwaitBytesInFlight(limit > bytes.bytes() ? limit - bytes.bytes() : 0));
  }
  const Stream out = tier->transfers->out_stream();
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<HostBuffer> host, tier->AllocateHost(bytes.bytes(), out));
  if (!buffer->adopted()) buffer->UsedOn(out);  // an adopted one is kept by the copy itself
  TIERLIB_ASSIGN_OR_RETURN(TransferRef arrival,
                           tier->transfers->CopyOut(RunsToHost(bytes, *buffer, host->data()), *snapshot.produced,
                                                    snapshot.key.storage, buffer->adopted() ? buffer : nullptr));
  tier->pool->Tick(out);
  ++ledger_.copies_out;
  snapshot.host.push_back({bytes, std::move(host), std::move(arrival)});
  snapshot.host_bytes = snapshot.host_bytes.Union(bytes);
  leaving_.push_back(snapshot.weak_from_this());
  if (snapshot.residence.state() != Residency::kLeaving) {
    snapshot.residence.MoveTo(Residency::kLeaving, snapshot.key.storage, bytes.bytes(), recorder());
  }
  return OkStatus();
}

void SavedStore::RecordDecision(const Snapshot& snapshot, Decision decision, std::uint64_t bytes) {
  trace::Write(recorder(), trace::Event::kDecision, trace::Tag::kSaved,
               static_cast<std::uint16_t>(static_cast<int>(decision.action) * 256 + static_cast<int>(decision.reason)),
               snapshot.trace_label, snapshot.key.storage.ToInteger(), bytes);
}

}  // namespace tierlib
