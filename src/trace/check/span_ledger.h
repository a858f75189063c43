// SpanLedger: what has a begin and an end: steps, stalls and ops.
#ifndef TIERLIB_SRC_TRACE_CHECK_SPAN_LEDGER_H_
#define TIERLIB_SRC_TRACE_CHECK_SPAN_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "trace/check/findings.h"
#include "trace/reader.h"

namespace tierlib::trace {

class SpanLedger {
 public:
  SpanLedger(const Trace& trace, std::int64_t slack_ns, Findings& findings);

  void Take(const IndexedRecord& at);
  void Finish(bool ended);

  std::uint64_t steps() const { return steps_; }
  std::uint64_t stalls() const { return stalls_; }
  std::uint64_t ops() const { return ops_; }

 private:
  void TakeStep(const IndexedRecord& at);
  void BeginStall(const IndexedRecord& at);
  void EndStall(const IndexedRecord& at);
  void TakeOp(const IndexedRecord& at);

  const Trace& trace_;
  const std::int64_t slack_ns_;
  Findings& findings_;
  std::optional<IndexedRecord> step_;  // that began the one under way
  // Those under way, by what they have in common with their end: storage and cause, op number and direction.
  using Key = std::pair<std::uint64_t, std::uint16_t>;
  absl::flat_hash_map<Key, std::multimap<std::int64_t, RecordPlace>> open_stalls_;  // by begin
  absl::flat_hash_map<Key, std::vector<RecordPlace>> open_ops_;
  std::uint64_t steps_ = 0;
  std::uint64_t stalls_ = 0;
  std::uint64_t ops_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_SPAN_LEDGER_H_
