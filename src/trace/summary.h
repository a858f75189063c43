// Summary: what a trace says about a run, computed once and shown by every front end (text, JSON, later the page), so
// that their numbers are the same.
//
// Invariants of a Summary
//   I1  moved, avoided_* and kept are sums over Decision records by action: each counted, none by subtraction.
//   I2  transfers count what the copy engine was asked for; they know nothing of decisions.
//   I3  where a tier is `consistent`, its bytes by tag at the peak add up to the peak.
#ifndef TIERLIB_SRC_TRACE_SUMMARY_H_
#define TIERLIB_SRC_TRACE_SUMMARY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trace/event.h"
#include "trace/reader.h"
#include "trace/record_source.h"
#include "trace/step_figures.h"

namespace tierlib::trace {

struct StepSummary {
  std::uint64_t count = 0;       // steps that began and ended
  std::uint64_t unfinished = 0;  // that began only
  std::uint64_t median_ns = 0;
  std::uint64_t slowest_step = 0;  // its number
  std::uint64_t slowest_ns = 0;
  // Stalled time of the slowest step beyond the median step's, by cause; only those above zero, largest first.
  struct Excess {
    StallCause cause = StallCause::kAllocation;
    std::uint64_t ns = 0;
  };
  std::vector<Excess> slowest_excess;
  std::vector<SlowStep> slow;     // the slowest, and what they had more of than the median one
  std::vector<StepFigures> each;  // in the order of time
};

struct DecisionSummary {
  DecisionAction action = DecisionAction::kKeep;
  DecisionReason reason = DecisionReason::kMode;
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

struct TransferSummary {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failed = 0;               // that were refused or failed; their bytes count nowhere
  std::uint64_t unfinished = 0;           // asked for, and no end in the trace
  std::uint64_t finished_bytes = 0;       // of those with begin and end
  std::uint64_t busy_ns = 0;              // time with at least one of them under way
  std::uint64_t ceiling_bytes_per_s = 0;  // what the link achieves at most, as the program says; 0: not known
  // finished_bytes per second of busy time; 0 where nothing was timed.
  double BytesPerSecond() const { return busy_ns == 0 ? 0 : static_cast<double>(finished_bytes) * 1e9 / busy_ns; }
};

struct StallSummary {
  std::string label;
  StallCause cause = StallCause::kAllocation;
  std::uint64_t count = 0;
  std::uint64_t ns = 0;
};

// Where the time went, over all streams: lengths of unions of intervals, so that what happens at once counts once.
struct TimeSummary {
  std::uint64_t compute_ns = 0;   // an op ran; 0 in a trace without ops
  std::uint64_t unknown_ns = 0;   // no op ran and nothing was waited for; 0 in a trace without ops
  std::uint64_t transfer_ns = 0;  // a copy between device and host was under way
  std::uint64_t exposed_ns = 0;   // a stream waited for a copy: late in, tail of one out, write fence
  std::uint64_t hidden_ns = 0;    // of transfer_ns, when none did
};

struct TagBytes {
  Tag tag = Tag::kNone;
  std::uint64_t bytes = 0;
};

struct TierSummary {
  TierCode tier = TierCode::kDevice;
  std::uint64_t capacity = 0;  // 0: not known
  std::uint64_t peak_bytes = 0;
  std::int64_t peak_time_ns = 0;  // since the first record
  std::vector<TagBytes> at_peak;  // largest first
  // What nobody accounts for: reserved at the time of the peak and live for nobody (it was free, or lay between
  // blocks), and live without a tag that says what for.
  std::uint64_t reserved_at_peak = 0;  // 0 where the tier does not tell
  std::uint64_t unused_at_peak = 0;
  std::uint64_t untagged_at_peak = 0;
  std::uint64_t live_at_end = 0;
  std::uint64_t times_full = 0;  // requests that found it full
  bool consistent = true;        // false: more was freed than allocated, so records are missing
};

// Bytes of saved values that pinned memory had no room for.
struct FallbackSummary {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

struct Summary {
  std::int32_t rank = 0;
  std::uint32_t process_id = 0;
  std::string device;
  std::uint64_t device_capacity = 0;
  std::uint64_t pinned_capacity = 0;
  std::int64_t start_wall_ns = 0;
  std::uint64_t duration_ns = 0;  // first to last record
  std::uint64_t records = 0;

  StepSummary steps;

  // Bytes of packed values.
  std::uint64_t packs = 0;
  std::uint64_t unpacks = 0;
  std::uint64_t naive = 0;  // what copying each packed value by itself would move
  std::uint64_t moved = 0;
  std::uint64_t avoided_identity = 0;
  std::uint64_t avoided_lineage = 0;
  std::uint64_t avoided_recompute = 0;
  std::uint64_t frees_nothing = 0;
  std::uint64_t kept = 0;
  std::uint64_t replayed = 0;              // made again on the device, from other bytes
  std::uint64_t recomputed = 0;            // by the program
  std::uint64_t recomputes = 0;            // how often (count)
  std::uint64_t reconsidered = 0;          // booked a second time, as memory ran short or a source was written
  std::uint64_t freed = 0;                 // of the program's device bytes, as the host has them or they are made again
  std::uint64_t freed_made_again = 0;      // of those, what nothing was moved for
  std::uint64_t freed_nothing = 0;         // moved, and the program held the storage all the time
  std::uint64_t moved_in = 0;              // by copies in that were booked
  std::uint64_t taken_back = 0;            // without a copy
  std::uint64_t prefetched = 0;            // of moved_in, what came before it was asked for
  std::uint64_t prefetched_in_vain = 0;    // of that, what went without being asked for
  std::uint64_t prefetch_missed = 0;       // of moved_in, what came too late for that where values come back ahead
  std::vector<DecisionSummary> decisions;  // by action, then reason

  std::array<TransferSummary, kDirectionCodeCount> transfers;  // by DirectionCode

  TimeSummary time;

  std::uint64_t stall_count = 0;
  std::uint64_t stall_ns = 0;        // all streams together
  std::vector<StallSummary> stalls;  // by label and cause, largest first

  std::array<FallbackSummary, kTierCodeCount> fallbacks;  // by the tier that took them
  FallbackSummary recomputed_instead;                     // that no tier took: the program computes them again
  FallbackSummary refused;                                // that no tier took: they stayed on the device

  std::vector<TierSummary> tiers;  // those that were used, in the order of TierCode

  // Of the file.
  bool closed = true;
  std::uint64_t dropped = 0;
  std::vector<Problem> problems;
  std::uint64_t problem_count = 0;
};

// Takes memory for each transfer, op, stall and step.
Summary Summarize(RecordSource& source);
Summary Summarize(const Trace& trace);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_SUMMARY_H_
