// SavedLedger: storages, the values packed of them, what was decided about each, and where their bytes went.
#ifndef TIERLIB_SRC_TRACE_CHECK_SAVED_LEDGER_H_
#define TIERLIB_SRC_TRACE_CHECK_SAVED_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "trace/check/findings.h"
#include "trace/reader.h"

namespace tierlib::trace {

// Residency's states and legal changes as storage/residency.h numbers them (tests/trace_viewer holds them together).
inline constexpr std::size_t kResidencyCodeCount = 7;
bool IsLegalResidencyChange(std::size_t from, std::size_t to);
const char* ResidencyCodeName(std::size_t code);

class SavedLedger {
 public:
  explicit SavedLedger(Findings& findings);

  void Take(const IndexedRecord& at);
  void Finish(bool ended);

  std::uint64_t storages() const { return storages_.size(); }
  std::uint64_t packs() const { return packs_; }
  std::uint64_t bytes_moved() const { return bytes_moved_; }  // booked; wraps around

 private:
  struct StorageState {
    std::uint64_t bytes = 0;
    bool live = false;
    std::optional<RecordPlace> retired;
    std::optional<std::uint64_t> version;
    std::uint64_t packed = 0;   // values with bytes
    std::uint64_t dropped = 0;  // of them
    RecordPlace last_pack;
    std::array<std::uint64_t, kResidencyCodeCount> snapshots = {};  // in each state but the first, where they begin
  };

  StorageState* Find(const IndexedRecord& at, std::uint64_t storage);  // tells where there never was one
  void RequireLive(const IndexedRecord& at, std::uint64_t storage);
  void Register(const IndexedRecord& at);
  void Retire(const IndexedRecord& at);
  void Write(const IndexedRecord& at);
  void Decide(const IndexedRecord& at);
  void Pack(const IndexedRecord& at);
  void UseValue(const IndexedRecord& at);
  void ChangeResidency(const IndexedRecord& at);

  Findings& findings_;
  absl::flat_hash_map<std::uint64_t, StorageState> storages_;
  // The last two decisions that no pack has taken for its own.
  std::optional<IndexedRecord> decision_before_, decision_;
  std::uint64_t packs_ = 0;
  std::uint64_t bytes_moved_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_SAVED_LEDGER_H_
