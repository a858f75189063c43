// StepFigures: what happened within each step of a trace, and what the slowest steps had more of than the median one.
// Part of the summary.
#ifndef TIERLIB_SRC_TRACE_STEP_FIGURES_H_
#define TIERLIB_SRC_TRACE_STEP_FIGURES_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/intervals.h"
#include "trace/reader.h"

namespace tierlib::trace {

// Of one step that began and ended. Records are of the step that they lie in by time.
struct StepFigures {
  std::uint64_t number = 0;
  std::int64_t begin_ns = 0;  // since the first record
  std::uint64_t ns = 0;
  std::array<std::uint64_t, kStallCauseCount> stalled_ns = {};  // of stalls that ended in it
  std::uint64_t packed_bytes = 0;
  std::uint64_t moved_bytes = 0;    // booked as moved
  std::uint64_t avoided_bytes = 0;  // by identity, lineage, computing again, or for nothing
  std::array<std::uint64_t, kDirectionCodeCount> copied_bytes = {};  // of transfers that were asked for
  std::uint64_t device_peak_bytes = 0;                               // live at once
  std::uint64_t unknown_ns = 0;  // no op ran and no stall is known; 0 in a trace without ops

  std::uint64_t stall_ns() const;
};

// What a step had more of than the median over all steps.
struct StepExcess {
  enum class Kind : std::uint8_t { kStall, kOp, kUnknown, kCopiedOut, kCopiedIn, kPacked, kMoved };
  Kind kind = Kind::kStall;
  std::string name;  // the stall's cause, or the label of the ops
  std::uint64_t amount = 0;
  std::uint64_t median = 0;

  bool is_time() const { return kind == Kind::kStall || kind == Kind::kOp || kind == Kind::kUnknown; }
  std::uint64_t more() const { return amount - median; }
};
const char* StepExcessKindName(StepExcess::Kind kind);

struct SlowStep {
  std::uint64_t number = 0;
  std::int64_t begin_ns = 0;  // since the first record
  std::uint64_t ns = 0;
  std::vector<StepExcess> excess;  // first time, then bytes; the largest first
};

// The middle one, or the mean of the middle two; 0 of none.
std::uint64_t MedianOf(std::vector<std::uint64_t> values);

// Follows the records of a trace in the order of time.
class StepCollector {
 public:
  static constexpr std::size_t kSlowStepsMost = 5;
  static constexpr std::size_t kOpsNamedMost = 5;  // of one slow step

  explicit StepCollector(const Trace& trace) : trace_(trace) {}  // for its labels

  void Take(const Record& record);
  // `busy`: when ops ran or stalls were known, as UnionOf gives it; `has_ops`: otherwise no time is unknown. Afterwards
  // no more records are taken. `first_ns`: the time of the first record.
  void Finish(const std::vector<Interval>& busy, bool has_ops, std::int64_t first_ns);

  const std::vector<StepFigures>& steps() const { return steps_; }  // in the order of time
  std::uint64_t unfinished() const { return unfinished_; }
  // The slowest of those that took longer than the median, the slowest first.
  std::vector<SlowStep> SlowSteps() const;

 private:
  // A copy that was asked for and has not ended.
  struct Asked {
    std::size_t direction = 0;
    std::uint64_t bytes = 0;
    std::size_t step = 0;  // how many steps had begun
  };

  void TakeStep(const Record& record);
  void TakeAsk(const Record& record);
  void TakeEnd(const Record& record);
  void TakeOp(const Record& record);
  SlowStep Explain(std::size_t index) const;
  void AddOps(std::size_t index, std::vector<StepExcess>* excess) const;

  const Trace& trace_;
  bool in_step_ = false;
  std::uint64_t unfinished_ = 0;
  std::size_t begun_ = 0;
  StepFigures step_;
  std::uint64_t device_live_ = 0;                               // wraps around in a damaged trace
  absl::flat_hash_map<std::uint64_t, Asked> asked_;             // by number
  absl::flat_hash_map<std::uint64_t, std::int64_t> op_begins_;  // of ops under way
  absl::flat_hash_map<std::uint32_t, std::uint64_t> step_ops_;  // of the step under way: label to time
  std::vector<StepFigures> steps_;
  std::vector<std::vector<std::pair<std::uint32_t, std::uint64_t>>> ops_;  // of each step
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_STEP_FIGURES_H_
