// BlockLedger: the blocks of every tier's pool, followed from record to record.
#ifndef TIERLIB_SRC_TRACE_CHECK_BLOCK_LEDGER_H_
#define TIERLIB_SRC_TRACE_CHECK_BLOCK_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "trace/check/findings.h"
#include "trace/reader.h"

namespace tierlib::trace {

class BlockLedger {
 public:
  // `several_devices`: each has its own pool of every tier, with blocks at the same offsets, so none is followed.
  BlockLedger(const Trace& trace, bool several_devices, Findings& findings);

  // Of other events than the pools' it takes no notice.
  void Take(const IndexedRecord& at);
  // `ended`: the trace goes on to the end of the program.
  void Finish(bool ended);

  std::uint64_t blocks() const { return blocks_; }

 private:
  struct Block {
    std::uint64_t bytes = 0;
    Tag tag = Tag::kNone;
    RecordPlace allocated;
  };
  struct TierState {
    std::map<std::uint64_t, Block> live;                    // by offset, apart from each other
    absl::flat_hash_map<std::uint64_t, RecordPlace> freed;  // offset: who freed the last block there
    std::uint64_t live_bytes = 0;
    std::uint64_t reserved = 0;
    bool reserves = false;                  // the tier tells what it reserves
    std::optional<std::uint64_t> capacity;  // free and live bytes together, as first seen
    bool over_reserved = false;             // said once
    bool over_capacity = false;
  };

  void Allocate(const IndexedRecord& at, TierState& tier);
  void Free(const IndexedRecord& at, TierState& tier);
  void Full(const IndexedRecord& at, TierState& tier);
  void Reserve(const IndexedRecord& at);
  void TellOverlap(const IndexedRecord& at, std::uint64_t offset, const Block& other);

  const Trace& trace_;
  const bool several_devices_;
  Findings& findings_;
  std::array<TierState, kTierCodeCount> tiers_;
  std::uint64_t blocks_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_BLOCK_LEDGER_H_
