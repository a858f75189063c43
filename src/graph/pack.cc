// SavedStore: taking a value into care.
//
// What can fail (marks, room on the host, copies) comes before what it changes: a Pack that fails leaves the snapshot,
// which other values share, and the ledger as they were.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/data_movement.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

// A block of host memory that took longer than this had to be taken from the system, or another thread was at it.
constexpr std::uint64_t kHostWaitNs = 10'000;

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
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  auto value = std::make_shared<internal::SavedValue>();
  value->store = shared_from_this();
  value->layout = view.layout;
  value->version = view.version;
  Locked lock(*this);
  Poll();
  (void)RunDue();  // what it lets go of may hold memory of the host, which we are about to ask for
  TIERLIB_ASSIGN_OR_RETURN(Storage * storage, table_.Find(view.storage));
  TIERLIB_RETURN_IF_ERROR(view.layout.Validate(storage->bytes));
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, storage->device));
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(storage->device));
  if (!storage->adopted) TIERLIB_RETURN_IF_ERROR(FlushBeforeNaming(*tier, stream));
  TIERLIB_RETURN_IF_ERROR(SeeVersion(*storage, view.version));
  const std::uint64_t logical = static_cast<std::uint64_t>(view.layout.logical_bytes());
  if (logical > 0) {
    tier->pool->Tick(stream);
    storage->buffer->UsedOn(stream);
    std::shared_ptr<DeviceBuffer> buffer = storage->buffer;
    if (storage->adopted) {
      const bool unkept = keepalive == nullptr;
      if (unkept && storage->unkept_readers == nullptr) storage->unkept_readers = std::make_shared<StreamSet>();
      buffer = std::make_shared<DeviceBuffer>(std::move(keepalive), *tier->keepalives, stream, buffer->data(),
                                              storage->bytes, unkept ? storage->unkept_readers : nullptr);
    }
    StatusOr<std::shared_ptr<Snapshot>> snapshot = options_.mode == OffloadMode::kNaive
                                                       ? PackNaive(*storage, view.layout, buffer, stream, label)
                                                       : PackMarshal(*storage, view.layout, buffer, stream, label);
    if (!snapshot.ok()) return NameStorage(snapshot.status(), view.storage, label);
    value->snapshot = *std::move(snapshot);
  }
  ++ledger_.packs;
  ledger_.naive += logical;
  trace::Write(recorder(), trace::Event::kPack, trace::Tag::kSaved, 0,
               recorder_ != nullptr ? recorder_->Intern(label) : 0, view.storage.ToInteger(), logical);
  return Saved(std::move(value));
}

std::shared_ptr<Snapshot> SavedStore::SnapshotFor(const Storage& storage, const ByteRanges& bytes,
                                                  std::string_view label) {
  std::shared_ptr<Snapshot> snapshot = FindSnapshot({storage.id, storage.version});
  if (snapshot != nullptr) {
    const bool lost = snapshot->residence.state() == Residency::kLost;
    if (!lost && (snapshot->recipe.empty() || snapshot->recipe.back().to_bytes().Contains(bytes))) return snapshot;
  }
  snapshot = NewSnapshot(storage, /*shared=*/snapshot == nullptr);
  SetLabel(*snapshot, label);
  return snapshot;
}

void SavedStore::SetLabel(Snapshot& snapshot, std::string_view label) const {
  snapshot.label = label;
  if (recorder_ != nullptr) snapshot.saved_label = recorder_->Intern(label);
}

void SavedStore::Keep(Snapshot& snapshot, const std::shared_ptr<DeviceBuffer>& buffer) {
  const bool unkept = snapshot.buffer != nullptr && snapshot.buffer->adopted() && !snapshot.buffer->has_keepalive();
  if (snapshot.buffer == nullptr || (unkept && buffer->has_keepalive())) {
    Hold(snapshot, buffer, ByteRanges({0, snapshot.storage_bytes}));
  }
  const Residency state = snapshot.residence.state();
  if (state == Residency::kHost || state == Residency::kReplayable) {
    snapshot.residence.MoveTo(state == Residency::kHost ? Residency::kBoth : Residency::kReplayed, snapshot.key.storage,
                              buffer->bytes(), recorder());
  }
}

SavedStore::Treatment SavedStore::DecideOn(Snapshot& snapshot, PackQuestion question, const ByteRanges& missing,
                                           bool whole) {
  Treatment treatment;
  question.mode = options_.mode;
  question.policy = options_.policy;
  question.holds = snapshot.holds;
  question.minimum_bytes = options_.minimum_bytes;
  question.missing_bytes = missing.bytes();
  const Recomputation& recompute = snapshot.recomputation;
  const bool computed = !snapshot.recipe.empty() && snapshot.source == nullptr;
  // What others are made from is not computed: the function may need one of them, and neither would be anywhere.
  if (computed || (whole && HopsFrom(snapshot) == 0 && recompute.Gives(missing))) {
    treatment.recompute = recompute.derivation;
    question.recompute_known = true;
    question.recompute_always = recompute.always;
    question.recompute_ns = recompute.cost_ns;
    const StatusOr<DeviceTier*> tier = FindTier(snapshot.device);
    if (tier.ok()) question.copies_ns = CopiesNs((*tier)->options, missing.bytes());
  }
  treatment.decision = Decide(question);
  const bool cheaper = treatment.decision.reason == trace::DecisionReason::kCheaper;
  if (whole && (cheaper || treatment.decision.action == trace::DecisionAction::kMove)) {
    question.lineage_found = FindRecipe(snapshot, missing, &treatment.recipe, &treatment.source);
    if (!question.lineage_found) treatment.recipe.clear();
    treatment.decision = Decide(question);
  }
  if (treatment.decision.action == trace::DecisionAction::kRecompute) treatment.recipe = {{treatment.recompute, false}};
  treatment.question = question;
  return treatment;
}

void SavedStore::DecideWithoutHost(Treatment& treatment) {
  treatment.question.host_full = true;
  treatment.decision = Decide(treatment.question);
  if (treatment.decision.action == trace::DecisionAction::kRecompute) treatment.recipe = {{treatment.recompute, false}};
}

StatusOr<std::shared_ptr<Snapshot>> SavedStore::PackMarshal(const Storage& storage, const Layout& layout,
                                                            const std::shared_ptr<DeviceBuffer>& buffer, Stream stream,
                                                            std::string_view label) {
  const std::optional<ByteRanges> exact = ByteRanges::Of(layout);
  const ByteRanges bytes = exact.value_or(ByteRanges({0, storage.bytes}));
  const std::shared_ptr<Snapshot> snapshot = SnapshotFor(storage, bytes, label);
  Snapshot& saved = *snapshot;
  const std::uint64_t logical = static_cast<std::uint64_t>(layout.logical_bytes());
  const ByteRanges there = saved.recipe.empty() ? bytes.Intersection(saved.host_bytes) : bytes;
  const ByteRanges missing = bytes.Minus(there);

  PackQuestion question;
  question.logical_bytes = logical;
  if (const PeakWatch* const watch = WatchOf(saved.device)) {
    question.planned = watch->Planned(saved.peak, RoundedDevice(**FindTier(saved.device), saved.storage_bytes));
  }
  question.scattered = !exact;  // then `bytes` are all of the storage: it stays whole, unless the host has it whole
  Treatment treatment = DecideOn(saved, question, missing, exact && there.empty() && saved.needed.empty());

  const bool moves = treatment.decision.action == trace::DecisionAction::kMove;
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<DeviceChecksum> checksum, LaunchChecksum(saved, bytes, *buffer, stream));
  MarkRef now;
  if (moves || saved.produced == nullptr || checksum != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(saved.device));
    TIERLIB_ASSIGN_OR_RETURN(now, tier->events->MarkNow(stream));
  }
  if (moves) {
    const Status copied =
        CopyOut(saved, missing, buffer, now, {.at_once = false, .else_recomputed = treatment.recompute != nullptr});
    if (copied.code() == StatusCode::kResourceExhausted) {
      DecideWithoutHost(treatment);
    } else {
      TIERLIB_RETURN_IF_ERROR(copied);
    }
  }

  // Nothing below fails.
  AddChecksum(saved, bytes, std::move(checksum), now);
  if (saved.produced == nullptr) saved.produced = std::move(now);
  if (!saved.needed.empty()) NoteSavedAgain(saved);
  LetGoWithout(saved, bytes, buffer);
  saved.needed = saved.needed.Union(bytes);
  const Decision decision = treatment.decision;
  const bool made_again = treatment.is_made_again();
  if (made_again) {
    AdoptRecipe(snapshot, std::move(treatment.recipe), std::move(treatment.source));
    saved.residence.MoveTo(Residency::kReplayable, saved.key.storage, missing.bytes(), recorder());
  } else if (decision.action == trace::DecisionAction::kKeep ||
             decision.action == trace::DecisionAction::kFreesNothing) {
    Keep(saved, buffer);
  }
  NotePackedForPeak(saved, *buffer, exact && saved.holds == Holds::kTransient && logical >= options_.minimum_bytes);
  Book(saved, decision, logical, moves || made_again ? missing.bytes() : logical);
  return snapshot;
}

StatusOr<std::shared_ptr<Snapshot>> SavedStore::PackNaive(const Storage& storage, const Layout& layout,
                                                          const std::shared_ptr<DeviceBuffer>& buffer, Stream stream,
                                                          std::string_view label) {
  std::shared_ptr<Snapshot> snapshot = NewSnapshot(storage, /*shared=*/false);
  Snapshot& saved = *snapshot;
  SetLabel(saved, label);
  saved.original.reset();
  const std::uint64_t logical = static_cast<std::uint64_t>(layout.logical_bytes());
  const Status copied = CopyOutNaive(saved, layout, buffer, stream);
  Decision decision = {trace::DecisionAction::kMove, trace::DecisionReason::kMode};
  if (copied.code() == StatusCode::kResourceExhausted) {  // no room on the host, or to gather the elements in
    decision = {trace::DecisionAction::kKeep, trace::DecisionReason::kHostFull};
    saved.needed = ByteRanges({0, saved.storage_bytes});
    Keep(saved, buffer);
  } else {
    TIERLIB_RETURN_IF_ERROR(copied);
    saved.packed = true;
    saved.packed_from = layout;
  }
  Book(saved, decision, logical, logical);
  return snapshot;
}

// --- copies ---------------------------------------------------------------------------------------------------------

Status SavedStore::CopyOutNaive(Snapshot& saved, const Layout& layout, const std::shared_ptr<DeviceBuffer>& buffer,
                                Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(saved.device));
  const std::uint64_t logical = static_cast<std::uint64_t>(layout.logical_bytes());
  const bool in_place = layout.is_contiguous();
  const std::uint64_t begin = in_place ? static_cast<std::uint64_t>(layout.offset_bytes) : 0;
  const ByteRanges bytes({begin, begin + logical});
  if (in_place) {
    TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<DeviceChecksum> checksum, LaunchChecksum(saved, bytes, *buffer, stream));
    TIERLIB_ASSIGN_OR_RETURN(saved.produced, tier->events->MarkNow(stream));
    AddChecksum(saved, bytes, std::move(checksum), saved.produced);
    saved.needed = bytes;
    return CopyOut(saved, bytes, buffer, saved.produced, {.at_once = false});
  }
  TIERLIB_ASSIGN_OR_RETURN(saved.produced, tier->events->MarkNow(stream));
  TIERLIB_ASSIGN_OR_RETURN(const std::shared_ptr<DeviceBuffer> gathered,
                           AllocateDevice(*tier, 0, logical, stream, trace::Tag::kWorkspace, /*reload=*/true));
  gathered->SetOwner(saved.key.storage);
  buffer->UsedOn(stream);
  TIERLIB_RETURN_IF_ERROR(LaunchStridedCopy(*tier->backend, stream, gathered->storage_base(), PackedLayout(layout),
                                            buffer->storage_base(), layout));
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<DeviceChecksum> checksum, LaunchChecksum(saved, bytes, *gathered, stream));
  TIERLIB_ASSIGN_OR_RETURN(const MarkRef done, tier->events->MarkNow(stream));
  AddChecksum(saved, bytes, std::move(checksum), done);
  saved.needed = bytes;
  return CopyOut(saved, bytes, gathered, done, {.at_once = true});
}

Status SavedStore::CopyOut(Snapshot& snapshot, const ByteRanges& bytes, const std::shared_ptr<DeviceBuffer>& buffer,
                           const MarkRef& produced, CopyTerms terms) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  TransferEngine& transfers = *tier->transfers;
  if (tier->options.in_flight_limit > 0) {
    const std::uint64_t limit = tier->options.in_flight_limit;
    TIERLIB_RETURN_IF_ERROR(
        AwaitLink(snapshot, *tier, limit > bytes.bytes() ? limit - bytes.bytes() : 0, produced->stream));
  }
  const Stream out = transfers.out_stream();
  const std::int64_t before_ns = tier->stalls->HostBefore();
  StatusOr<std::shared_ptr<HostBuffer>> allocated = tier->AllocateHost(bytes.bytes(), out);
  if (allocated.status().code() == StatusCode::kResourceExhausted && transfers.has_batch()) {
    TIERLIB_RETURN_IF_ERROR(transfers.FlushBatch());  // it may have blocks of values that were dropped
    allocated = tier->AllocateHost(bytes.bytes(), out);
  }
  if (allocated.status().code() == StatusCode::kResourceExhausted && !std::exchange(snapshot.refused, true)) {
    tier->NoteRefused(bytes.bytes(), terms.else_recomputed);
  }
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<HostBuffer> host, std::move(allocated));
  tier->stalls->HostAfter(before_ns, BytesOf(snapshot), trace::StallCause::kHostPool, produced->stream, kHostWaitNs);
  host->SetOwner(snapshot.key.storage);
  if (!buffer->adopted()) buffer->UsedOn(out);  // an adopted one is kept by the copy itself
  const std::shared_ptr<DeviceBuffer> keeps = buffer->adopted() ? buffer : nullptr;
  const bool gathers = !terms.at_once && MayGather(*tier, *buffer);
  std::vector<CopyRun> runs = RunsToHost(bytes, *buffer, host->data());
  tier->pool->Tick(out);  // memory that was freed behind earlier copies does not wait for this one
  TIERLIB_ASSIGN_OR_RETURN(TransferRef arrival,
                           gathers ? transfers.GatherCopyOut({nullptr, std::move(runs), buffer->bytes(), buffer, host},
                                                             produced, snapshot.key.storage, keeps)
                                   : transfers.CopyOut(runs, *produced, snapshot.key.storage, keeps));
  ++ledger_.copies_out;
  snapshot.host.push_back({bytes, std::move(host), std::move(arrival)});
  snapshot.host_bytes = snapshot.host_bytes.Union(bytes);
  snapshot.recomputation = Recomputation();  // and what its function keeps may go
  leaving_.push_back(snapshot.weak_from_this());
  if (snapshot.residence.state() != Residency::kLeaving) {
    snapshot.residence.MoveTo(Residency::kLeaving, snapshot.key.storage, bytes.bytes(), recorder());
  }
  return OkStatus();
}

Status SavedStore::AwaitLink(const Snapshot& snapshot, DeviceTier& tier, std::uint64_t limit, Stream stream) {
  tier.transfers->Poll();
  if (tier.transfers->bytes_in_flight() <= limit) return OkStatus();
  const std::int64_t before_ns = tier.stalls->HostBefore();
  const Status status = tier.transfers->AwaitBytesInFlight(limit);
  tier.stalls->HostAfter(before_ns, BytesOf(snapshot), trace::StallCause::kContention, stream);
  return status;
}

// Memory of the program that nobody keeps may go as soon as its storage is retired. What is kept names no stream of the
// program when it goes but the one on which the program orders its next use itself.
bool SavedStore::MayGather(const DeviceTier& tier, const DeviceBuffer& buffer) const {
  if (!tier.transfers->Gathers(buffer.bytes())) return false;
  if (buffer.adopted()) return buffer.has_keepalive();
  const auto streams = buffer.streams();
  return std::all_of(streams.begin(), streams.end(), [&](Stream stream) { return tier.backend->Owns(stream); });
}

Status SavedStore::FlushBeforeNaming(DeviceTier& tier, Stream stream) {
  return !tier.transfers->has_batch() || tier.backend->Owns(stream) ? OkStatus() : tier.transfers->FlushBatch();
}

}  // namespace tierlib
