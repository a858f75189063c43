#include "trace/check/saved_ledger.h"

#include <string>
#include <utility>

namespace tierlib::trace {
namespace {

// Rows: from. Columns: to. As in storage/residency.cc.
constexpr bool kLegal[kResidencyCodeCount][kResidencyCodeCount] = {
    {0, 1, 0, 0, 1, 1, 1},  // device
    {1, 1, 1, 1, 0, 0, 1},  // leaving
    {0, 1, 0, 1, 0, 0, 1},  // both
    {0, 1, 1, 0, 0, 0, 1},  // host
    {0, 1, 0, 0, 0, 1, 1},  // replayable
    {1, 1, 0, 0, 1, 0, 1},  // replayed
    {0, 0, 0, 0, 0, 0, 0},  // lost
};
constexpr const char* kNames[kResidencyCodeCount] = {"device",     "leaving",  "both", "host",
                                                     "replayable", "replayed", "lost"};

DecisionAction ActionOf(const Record& decision) { return static_cast<DecisionAction>(decision.detail / 256); }
DecisionReason ReasonOf(const Record& decision) { return static_cast<DecisionReason>(decision.detail % 256); }

}  // namespace

bool IsLegalResidencyChange(std::size_t from, std::size_t to) {
  return from < kResidencyCodeCount && to < kResidencyCodeCount && kLegal[from][to];
}
const char* ResidencyCodeName(std::size_t code) { return code < kResidencyCodeCount ? kNames[code] : "?"; }

SavedLedger::SavedLedger(Findings& findings) : findings_(findings) {}

void SavedLedger::Take(const IndexedRecord& at) {
  const Record& record = at.record;
  switch (record.event) {
    case Event::kStorageRegister: return Register(at);
    case Event::kStorageRetire: return Retire(at);
    case Event::kStorageWrite: return Write(at);
    case Event::kDerive: RequireLive(at, record.value); return RequireLive(at, record.subject);
    case Event::kRecomputes: return RequireLive(at, record.subject);
    case Event::kResidency: return ChangeResidency(at);
    case Event::kPack: return Pack(at);
    case Event::kDecision: return Decide(at);
    case Event::kUnpack:
    case Event::kDrop: return UseValue(at);
    case Event::kReplay:
    case Event::kReload:
    case Event::kReloadInVain:
    case Event::kFreed:
    case Event::kFreedNothing:
    case Event::kReconsider:
    case Event::kTakeBack: (void)Find(at, record.subject); return;
    case Event::kTransferStorage: (void)Find(at, record.value); return;
    default: return;
  }
}

SavedLedger::StorageState* SavedLedger::Find(const IndexedRecord& at, std::uint64_t storage) {
  const auto found = storages_.find(storage);
  if (found != storages_.end()) return &found->second;
  findings_.Add(
      Rule::kStorageUnknown, at.place,
      std::string(EventName(at.record.event)) + ": " + findings_.StorageName(storage) + " was not registered before");
  return nullptr;
}

void SavedLedger::RequireLive(const IndexedRecord& at, std::uint64_t storage) {
  const StorageState* const state = Find(at, storage);
  if (state == nullptr || state->live) return;
  findings_.Add(Rule::kStorageUnknown, at.place,
                std::string(EventName(at.record.event)) + ": " + findings_.StorageName(storage) + " was retired by " +
                    state->retired.value_or(RecordPlace()).ToString());
}

void SavedLedger::Register(const IndexedRecord& at) {
  const Record& record = at.record;
  StorageState& state = storages_[record.subject];
  if (state.live || state.retired.has_value()) {
    findings_.Add(Rule::kStorageChanged, at.place, findings_.StorageName(record.subject) + " is registered twice");
  }
  state.live = true;
  state.bytes = record.value;
}

void SavedLedger::Retire(const IndexedRecord& at) {
  const Record& record = at.record;
  RequireLive(at, record.subject);
  const auto found = storages_.find(record.subject);
  if (found == storages_.end()) return;
  StorageState& state = found->second;
  if (state.bytes != record.value) {
    findings_.Add(Rule::kStorageChanged, at.place,
                  findings_.StorageName(record.subject) + " is retired with " + ExactBytes(record.value) +
                      " and was registered with " + std::to_string(state.bytes));
  }
  state.live = false;
  state.retired = at.place;
}

void SavedLedger::Write(const IndexedRecord& at) {
  const Record& record = at.record;
  RequireLive(at, record.subject);
  const auto found = storages_.find(record.subject);
  if (found == storages_.end()) return;
  std::optional<std::uint64_t>& version = found->second.version;
  if (version.has_value() && record.value <= *version) {
    findings_.Add(Rule::kStorageVersion, at.place,
                  findings_.StorageName(record.subject) + " is written to version " + std::to_string(record.value) +
                      " after version " + std::to_string(*version));
  }
  version = record.value;
}

void SavedLedger::Decide(const IndexedRecord& at) {
  const Record& record = at.record;
  if (record.detail / 256 >= kDecisionActionCount || record.detail % 256 >= kDecisionReasonCount) {
    return findings_.Add(Rule::kField, at.place,
                         "decision " + std::to_string(record.detail / 256) + " for reason " +
                             std::to_string(record.detail % 256) + " is none");
  }
  if (Find(at, record.subject) == nullptr) return;
  if (ActionOf(record) == DecisionAction::kMove) bytes_moved_ += record.value;
  decision_before_ = std::exchange(decision_, at);
}

// A pack is written right after the decision about the value, which follows the one about the bytes of it that were
// there already, if some were. Decisions about other values, which had to make room, came before.
void SavedLedger::Pack(const IndexedRecord& at) {
  const Record& record = at.record;
  RequireLive(at, record.subject);
  ++packs_;
  if (record.value == 0) return;
  if (const auto found = storages_.find(record.subject); found != storages_.end()) {
    ++found->second.packed;
    found->second.last_pack = at.place;
  }
  const std::optional<IndexedRecord> decision = std::exchange(decision_, std::nullopt);
  const std::optional<IndexedRecord> before = std::exchange(decision_before_, std::nullopt);
  const std::string name = findings_.StorageName(record.subject);
  const auto of_this = [&](const std::optional<IndexedRecord>& one) {
    return one.has_value() && one->record.subject == record.subject;
  };
  if (!of_this(decision)) {
    return findings_.Add(Rule::kPackSum, at.place,
                         "a value of " + ExactBytes(record.value) + " of " + name + " is packed without a decision");
  }
  std::uint64_t booked = decision->record.value;
  if (of_this(before) && ActionOf(before->record) == DecisionAction::kReference &&
      ReasonOf(before->record) == DecisionReason::kSameStorage) {
    booked += before->record.value;
  }
  if (booked != record.value) {
    findings_.Add(Rule::kPackSum, at.place,
                  "a value of " + ExactBytes(record.value) + " of " + name + " is packed and " +
                      std::to_string(booked) + " are booked for it by " + decision->place.ToString());
  }
}

void SavedLedger::UseValue(const IndexedRecord& at) {
  const Record& record = at.record;
  StorageState* const state = Find(at, record.subject);
  if (state == nullptr) return;
  if (state->packed == state->dropped) {
    return findings_.Add(Rule::kValueUnknown, at.place,
                         std::string(EventName(record.event)) + ": of " + findings_.StorageName(record.subject) + ' ' +
                             std::to_string(state->packed) + " values were packed and all of them are dropped");
  }
  if (record.event == Event::kDrop) ++state->dropped;
}

void SavedLedger::ChangeResidency(const IndexedRecord& at) {
  const Record& record = at.record;
  const std::size_t from = record.detail / 256;
  const std::size_t to = record.detail % 256;
  if (!IsLegalResidencyChange(from, to)) {
    return findings_.Add(Rule::kResidencyIllegal, at.place,
                         findings_.StorageName(record.subject) + " goes from " + ResidencyCodeName(from) + " to " +
                             ResidencyCodeName(to) + ", which is no legal change");
  }
  StorageState* const state = Find(at, record.subject);
  if (state == nullptr) return;
  // Snapshots begin on the device and go without a record. So of each state there are at most as many as came to it.
  if (from != 0) {
    if (state->snapshots[from] == 0) {
      findings_.Add(Rule::kResidencyUnknown, at.place,
                    findings_.StorageName(record.subject) + " goes from " + ResidencyCodeName(from) + " to " +
                        ResidencyCodeName(to) + ", and nothing of it was " + ResidencyCodeName(from));
    } else {
      --state->snapshots[from];
    }
  }
  ++state->snapshots[to];
}

void SavedLedger::Finish(bool ended) {
  if (!ended) return;
  for (const auto& [storage, state] : storages_) {
    if (state.packed <= state.dropped) continue;
    findings_.Add(Rule::kValueNotDropped, state.last_pack,
                  std::to_string(state.packed - state.dropped) + " of " + std::to_string(state.packed) + " values of " +
                      findings_.StorageName(storage) + " are never dropped, and the trace was ended");
  }
}

}  // namespace tierlib::trace
