// SavedStore: what becomes of saved bytes, booked once where it happens, in the ledger and in the trace.
#include "graph/saved_store.h"

namespace tierlib {
namespace {

std::uint16_t DetailOf(Decision decision) { return trace::DecisionDetail(decision.action, decision.reason); }

}  // namespace

// `decided` of the value's bytes are treated as decided. The others are there already: of the same storage, or shared
// by elements of this one value (expand).
void SavedStore::Book(const Snapshot& snapshot, Decision decision, std::uint64_t logical, std::uint64_t decided) {
  const std::uint64_t there = logical - decided;
  if (there > 0) {
    ledger_.avoided_identity += there;
    RecordDecision(snapshot, {trace::DecisionAction::kReference, trace::DecisionReason::kSameStorage}, there);
  }
  CounterOf(decision.action) += decided;
  if (decision.action == trace::DecisionAction::kKeep && decision.reason == trace::DecisionReason::kPeak) {
    if (PeakWatch* const watch = WatchOf(snapshot.device)) watch->NoteKept(decided);
  }
  RecordDecision(snapshot, decision, decided);
}

void SavedStore::BookAgain(const Snapshot& snapshot, Decision decision, std::uint64_t bytes) {
  CounterOf(decision.action) += bytes;
  ledger_.reconsidered += bytes;
  RecordDecision(snapshot, decision, bytes);
  trace::Write(recorder(), trace::Event::kReconsider, trace::Tag::kSaved, DetailOf(decision), snapshot.trace_label,
               snapshot.key.storage.ToInteger(), bytes);
}

std::uint64_t& SavedStore::CounterOf(trace::DecisionAction action) {
  switch (action) {
    case trace::DecisionAction::kFreesNothing: return ledger_.frees_nothing;
    case trace::DecisionAction::kKeep: break;
    case trace::DecisionAction::kReference: return ledger_.avoided_identity;
    case trace::DecisionAction::kReplay: return ledger_.avoided_lineage;
    case trace::DecisionAction::kRecompute: return ledger_.avoided_recompute;
    case trace::DecisionAction::kMove: return ledger_.moved;
  }
  return ledger_.kept;
}

void SavedStore::RecordDecision(const Snapshot& snapshot, Decision decision, std::uint64_t bytes) {
  trace::Write(recorder(), trace::Event::kDecision, trace::Tag::kSaved, DetailOf(decision), snapshot.trace_label,
               snapshot.key.storage.ToInteger(), bytes);
}

void SavedStore::BookFreed(Snapshot& snapshot, std::uint64_t bytes) {
  snapshot.freed = true;
  const bool made_again = !snapshot.recipe.empty();
  ledger_.freed += bytes;
  ledger_.freed_made_again += made_again ? bytes : 0;
  trace::Write(recorder(), trace::Event::kFreed, trace::Tag::kSaved, made_again ? 1 : 0, snapshot.trace_label,
               snapshot.key.storage.ToInteger(), bytes);
}

void SavedStore::BookDropped(const Snapshot& snapshot) {
  if (snapshot.freed || !snapshot.shared || snapshot.host_bytes.empty()) return;
  const std::uint64_t bytes = snapshot.host_bytes.bytes();
  ledger_.freed_nothing += bytes;
  trace::Write(recorder(), trace::Event::kFreedNothing, trace::Tag::kSaved, 0, snapshot.trace_label,
               snapshot.key.storage.ToInteger(), bytes);
}

void SavedStore::BookReload(const Snapshot& snapshot, const DeviceTier& tier, std::uint64_t bytes, bool ahead) {
  const bool missed = !ahead && tier.options.prefetch_bytes > 0;
  ledger_.moved_in += bytes;
  ++ledger_.copies_in;
  ledger_.prefetched += ahead ? bytes : 0;
  ledger_.prefetch_missed += missed ? bytes : 0;
  trace::Write(recorder(), trace::Event::kReload, trace::Tag::kReload,
               ahead    ? 1
               : missed ? 2
                        : 0,
               snapshot.trace_label, snapshot.key.storage.ToInteger(), bytes);
}

void SavedStore::BookInVain(const Snapshot& snapshot, std::uint64_t bytes) {
  ledger_.prefetched_in_vain += bytes;
  trace::Write(recorder(), trace::Event::kReloadInVain, trace::Tag::kReload, 0, snapshot.trace_label,
               snapshot.key.storage.ToInteger(), bytes);
}

}  // namespace tierlib
