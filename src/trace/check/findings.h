// Findings: what contradicts itself in a trace, as the ledgers of this folder note it. One rule is one thing that must
// hold in the trace of a program that works. Not synchronised: one check is one thread's.
#ifndef TIERLIB_SRC_TRACE_CHECK_FINDINGS_H_
#define TIERLIB_SRC_TRACE_CHECK_FINDINGS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "trace/reader.h"

namespace tierlib::trace {

enum class Rule : std::uint8_t {
  kField,             // codes are in the event table, and sums of fields do not overflow
  kClock,             // nothing is before the trace's begin
  kBlockUnknown,      // what is freed was allocated
  kBlockFreedTwice,   // and is freed once,
  kBlockChanged,      // with the bytes and the tag that it was allocated with
  kBlockOverlap,      // live blocks lie apart
  kBlockNotFreed,     // at the end of a trace that was ended all are freed
  kTierReserved,      // a tier's live bytes have been reserved, and no more is released than was reserved
  kTierCapacity,      // and they are within its capacity
  kTierFreeBytes,     // free and live bytes make the same sum whenever the tier was full
  kTransferOrder,     // a transfer is asked for, begins and ends, in this order, once each
  kTransferChanged,   // with the same bytes and in the same direction,
  kTransferNotEnded,  // and has ended at the end
  kTransferOverlap,   // transfers of one stream follow each other, but those that are enqueued as one
  kTransferSource,    // what a copy in brings back has left before, all of it or, of a copy in pieces, the first
  kTransferStorage,   // each is of one storage that is known
  kMovedBytes,        // the copies out have the bytes that were booked as moved
  kPackSum,           // the bytes booked for a packed value are its bytes: moved + avoided + kept = naive
  kStorageUnknown,    // what is used is registered and not retired
  kStorageChanged,    // a storage is registered once, and retired with the bytes that it was registered with
  kStorageVersion,    // versions rise
  kValueUnknown,      // what is unpacked or dropped was packed and not dropped
  kValueNotDropped,   // at the end all are dropped
  kResidencyIllegal,  // residency changes as the table of legal changes has it,
  kResidencyUnknown,  // and from where the bytes are
  kStepNesting,       // steps begin and end by turns, with the same number
  kStallPair,         // each stall has a begin and an end,
  kStallLength,       // as far apart as its length says
  kOpPair,            // each op begins and ends once
};
inline constexpr std::size_t kRuleCount = 29;
const char* RuleName(Rule rule);  // "block-freed-twice"
// Whether a breach is one even where records are missing elsewhere.
bool HoldsInParts(Rule rule);

struct Finding {
  Rule rule = Rule::kField;
  std::uint64_t record = 0;  // its number in the order of time, from 1; 0: the trace as a whole
  std::int64_t time_ns = 0;  // of the record, since the first one
  std::string what;          // one line; names from the trace may hold anything
};

// Which record: its place in the order of time, from 0 on, and its time. Ledgers keep this of records that they may
// have to name later.
struct RecordPlace {
  std::uint64_t index = 0;
  std::int64_t time_ns = 0;
  std::string ToString() const;  // "record 17", counted from 1
};
struct IndexedRecord {
  RecordPlace place;
  Record record;
};

class Findings {
 public:
  static constexpr std::size_t kMost = 1000;

  // Of a trace whose first record has this time.
  Findings(const Trace& trace, std::int64_t first_ns) : trace_(trace), first_ns_(first_ns) {}

  // Names storages after what is registered. Each record before ledgers take it.
  void Take(const Record& record);
  void Add(Rule rule, const RecordPlace& place, std::string what);
  void AddOfWhole(Rule rule, std::string what);
  // "storage 7.2 (block.3.attn)".
  std::string StorageName(std::uint64_t storage) const;

  // The first kMost, in the order of records.
  std::vector<Finding> TakeList();
  const std::array<std::uint64_t, kRuleCount>& counts() const { return counts_; }

 private:
  void Add(Finding finding);

  const Trace& trace_;
  const std::int64_t first_ns_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> storage_labels_;
  std::array<std::uint64_t, kRuleCount> counts_ = {};
  std::vector<Finding> list_;
};

// "1 byte", "4096 bytes": findings are about exact numbers.
std::string ExactBytes(std::uint64_t bytes);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_FINDINGS_H_
