#include "trace/summary.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/intervals.h"

namespace tierlib::trace {
namespace {

// From `begin` to `end`; 0 where they are the other way round. Times of a damaged file may be anything.
std::uint64_t Elapsed(std::int64_t begin, std::int64_t end) {
  return end > begin ? static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin) : 0;
}

// `ns` before `end`, or where the clock begins.
std::int64_t EndingAt(std::int64_t end, std::uint64_t ns) {
  const std::uint64_t most = Elapsed(std::numeric_limits<std::int64_t>::min(), end);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(end) - std::min(ns, most));
}

// Goes over the records in the order of time and keeps what the summary needs.
class Summarizer {
 public:
  explicit Summarizer(RecordSource& source)
      : source_(source), trace_(source.about()), extent_(source.extent()), steps_(trace_) {}

  Summary Run() {
    CopyFileFacts();
    source_.ForEach([this](const Record& record) {
      Take(record);
      steps_.Take(record);
    });
    FinishDecisions();
    FinishTransfers();
    FinishSteps();
    FinishStalls();
    FinishTiers();
    return std::move(out_);
  }

 private:
  struct Transfer {
    std::size_t direction = 0;
    std::uint64_t bytes = 0;
    std::int64_t begin_ns = 0;
    std::int64_t end_ns = 0;
    bool began = false;
    bool ended = false;
    bool failed = false;
  };
  struct Sum {
    std::uint64_t count = 0;
    std::uint64_t amount = 0;
  };
  // Bytes of a tier. Differences of wrapping counters, read as signed, are right whatever a damaged file adds up to.
  struct Live {
    bool used = false;
    std::uint64_t total = 0;
    std::uint64_t reserved = 0;
    std::uint64_t reserved_at_peak = 0;
    std::array<std::uint64_t, kTagCount> by_tag = {};
    std::uint64_t peak = 0;
    std::int64_t peak_time_ns = 0;
    std::array<std::uint64_t, kTagCount> at_peak = {};
    std::uint64_t times_full = 0;
    bool consistent = true;
  };

  void CopyFileFacts() {
    out_.rank = trace_.rank;
    out_.process_id = trace_.process_id;
    out_.device = trace_.device;
    out_.device_capacity = trace_.device_capacity;
    out_.pinned_capacity = trace_.pinned_capacity;
    out_.start_wall_ns = trace_.start_wall_ns;
    out_.records = extent_.records;
    out_.duration_ns = Elapsed(extent_.first_ns, extent_.last_ns);
    out_.closed = trace_.closed;
    out_.dropped = trace_.dropped;
    out_.problems = trace_.problems;
    out_.problem_count = trace_.problem_count;
  }

  void Take(const Record& record) {
    switch (record.event) {
      case Event::kStorageRegister:
        if (record.label != 0) storage_labels_[record.subject] = record.label;
        return;
      case Event::kPoolReserve:
      case Event::kPoolRelease: return TakeReserved(record);
      case Event::kPoolAllocate:
      case Event::kPoolFree:
      case Event::kPoolFull: return TakePool(record);
      case Event::kHostFallback: return TakeFallback(record);
      case Event::kPack:
        ++out_.packs;
        out_.naive += record.value;
        return;
      case Event::kUnpack: ++out_.unpacks; return;
      case Event::kReplay: return TakeReplay(record);
      case Event::kReload: return TakeReload(record);
      case Event::kReloadInVain: out_.prefetched_in_vain += record.value; return;
      case Event::kTakeBack: out_.taken_back += record.value; return;
      case Event::kReconsider: out_.reconsidered += record.value; return;
      case Event::kFreedNothing: out_.freed_nothing += record.value; return;
      case Event::kFreed:
        out_.freed += record.value;
        out_.freed_made_again += record.detail == 1 ? record.value : 0;
        return;
      case Event::kDecision: return TakeDecision(record);
      case Event::kTransferAsk:
      case Event::kTransferBegin:
      case Event::kTransferEnd: return TakeTransfer(record);
      case Event::kStallEnd: return TakeStall(record);
      case Event::kOpBegin:
      case Event::kOpEnd: return TakeOp(record);
      default: return;
    }
  }

  void TakeReserved(const Record& record) {
    if (record.subject >= kTierCodeCount) return;
    live_[record.subject].reserved += record.event == Event::kPoolReserve ? record.value : 0 - record.value;
  }

  void TakePool(const Record& record) {
    if (record.detail >= kTierCodeCount) return;
    Live& live = live_[record.detail];
    live.used = true;
    if (record.event == Event::kPoolFull) {
      ++live.times_full;
      return;
    }
    const std::size_t known = static_cast<std::size_t>(record.tag);
    const std::size_t tag = known < kTagCount ? known : static_cast<std::size_t>(Tag::kNone);
    const std::uint64_t change = record.event == Event::kPoolAllocate ? record.value : 0 - record.value;
    live.total += change;
    live.by_tag[tag] += change;
    if (static_cast<std::int64_t>(live.total) < 0 || static_cast<std::int64_t>(live.by_tag[tag]) < 0) {
      live.consistent = false;
    } else if (live.total > live.peak) {
      live.peak = live.total;
      live.peak_time_ns = record.time_ns;
      live.at_peak = live.by_tag;
      live.reserved_at_peak = live.reserved;
    }
  }

  void TakeReplay(const Record& record) {
    const bool by_the_program = record.detail == 1;
    (by_the_program ? out_.recomputed : out_.replayed) += record.value;
    out_.recomputes += by_the_program ? 1 : 0;
  }

  void TakeReload(const Record& record) {
    out_.moved_in += record.value;
    out_.prefetched += record.detail == 1 ? record.value : 0;
    out_.prefetch_missed += record.detail == 2 ? record.value : 0;
  }

  void TakeFallback(const Record& record) {
    const bool instead = record.detail == kRecomputedInstead;
    if (record.detail >= kTierCodeCount && record.detail != kNoTier && !instead) return;
    FallbackSummary& sum = instead                    ? out_.recomputed_instead
                           : record.detail == kNoTier ? out_.refused
                                                      : out_.fallbacks[record.detail];
    ++sum.count;
    sum.bytes += record.value;
  }

  void TakeDecision(const Record& record) {
    const std::size_t action = record.detail / 256;
    const std::size_t reason = record.detail % 256;
    if (action >= kDecisionActionCount || reason >= kDecisionReasonCount) return;
    Sum& sum = decisions_[action][reason];
    ++sum.count;
    sum.amount += record.value;
  }

  void TakeTransfer(const Record& record) {
    if (record.detail >= kDirectionCodeCount) return;
    Transfer& transfer = transfers_[record.subject];
    transfer.direction = record.detail;
    transfer.failed = record.event == Event::kTransferEnd && record.value == 0 && transfer.bytes > 0;
    transfer.bytes = record.value;
    if (record.event == Event::kTransferBegin) {
      transfer.began = true;
      transfer.begin_ns = record.time_ns;
    } else if (record.event == Event::kTransferEnd) {
      transfer.ended = true;
      transfer.end_ns = record.time_ns;
    }
  }

  void TakeStall(const Record& record) {
    if (record.detail >= kStallCauseCount) return;
    const Interval waited = {EndingAt(record.time_ns, record.value), record.time_ns};
    waits_.push_back(waited);
    const auto cause = static_cast<StallCause>(record.detail);
    if (cause == StallCause::kLateCopyIn || cause == StallCause::kCopyOutTail || cause == StallCause::kWriteFence) {
      copy_waits_.push_back(waited);
    }
    ++out_.stall_count;
    out_.stall_ns += record.value;
    std::uint32_t label = record.label;
    if (label == 0) {
      const auto found = storage_labels_.find(record.subject);
      if (found != storage_labels_.end()) label = found->second;
    }
    Sum& sum = stalls_[{label, record.detail}];
    ++sum.count;
    sum.amount += record.value;
  }

  void TakeOp(const Record& record) {
    if (record.event == Event::kOpBegin) {
      op_begins_[record.subject] = record.time_ns;
      return;
    }
    const auto begin = op_begins_.find(record.subject);
    if (begin == op_begins_.end()) return;
    ops_.push_back({begin->second, record.time_ns});
    op_begins_.erase(begin);
  }

  void FinishSteps() {
    steps_.Finish(busy_, out_.time.compute_ns > 0, extent_.first_ns);
    StepSummary& steps = out_.steps;
    steps.each = steps_.steps();
    steps.unfinished = steps_.unfinished();
    steps.count = steps.each.size();
    if (steps.each.empty()) return;
    const auto median_of = [&steps](const auto& figure) {
      std::vector<std::uint64_t> values;
      values.reserve(steps.each.size());
      for (const StepFigures& step : steps.each) values.push_back(figure(step));
      return MedianOf(std::move(values));
    };
    const StepFigures& slowest = *std::max_element(
        steps.each.begin(), steps.each.end(), [](const StepFigures& a, const StepFigures& b) { return a.ns < b.ns; });
    steps.median_ns = median_of([](const StepFigures& step) { return step.ns; });
    steps.slowest_step = slowest.number;
    steps.slowest_ns = slowest.ns;
    steps.slow = steps_.SlowSteps();
    for (std::size_t cause = 0; cause < kStallCauseCount; ++cause) {
      const std::uint64_t median = median_of([cause](const StepFigures& step) { return step.stalled_ns[cause]; });
      if (slowest.stalled_ns[cause] > median) {
        steps.slowest_excess.push_back({static_cast<StallCause>(cause), slowest.stalled_ns[cause] - median});
      }
    }
    std::stable_sort(steps.slowest_excess.begin(), steps.slowest_excess.end(),
                     [](const auto& a, const auto& b) { return a.ns > b.ns; });
  }

  void FinishDecisions() {
    std::array<std::uint64_t, kDecisionActionCount> bytes = {};
    for (std::size_t action = 0; action < kDecisionActionCount; ++action) {
      for (std::size_t reason = 0; reason < kDecisionReasonCount; ++reason) {
        const Sum& sum = decisions_[action][reason];
        if (sum.count == 0) continue;
        bytes[action] += sum.amount;
        out_.decisions.push_back(
            {static_cast<DecisionAction>(action), static_cast<DecisionReason>(reason), sum.count, sum.amount});
      }
    }
    out_.kept = bytes[static_cast<std::size_t>(DecisionAction::kKeep)];
    out_.moved = bytes[static_cast<std::size_t>(DecisionAction::kMove)];
    out_.avoided_identity = bytes[static_cast<std::size_t>(DecisionAction::kReference)];
    out_.avoided_lineage = bytes[static_cast<std::size_t>(DecisionAction::kReplay)];
    out_.avoided_recompute = bytes[static_cast<std::size_t>(DecisionAction::kRecompute)];
    out_.frees_nothing = bytes[static_cast<std::size_t>(DecisionAction::kFreesNothing)];
  }

  void FinishTransfers() {
    std::array<std::vector<Interval>, kDirectionCodeCount> copied;
    for (const auto& [number, transfer] : transfers_) {
      TransferSummary& summary = out_.transfers[transfer.direction];
      ++summary.count;
      summary.failed += transfer.failed ? 1 : 0;
      summary.bytes += transfer.bytes;
      if (!transfer.ended) {
        ++summary.unfinished;
      } else if (transfer.began) {
        summary.finished_bytes += transfer.bytes;
        copied[transfer.direction].push_back({transfer.begin_ns, transfer.end_ns});
      }
    }
    std::vector<Interval> across;  // between device and host
    for (std::size_t direction = 0; direction < kDirectionCodeCount; ++direction) {
      const std::vector<Interval> united = UnionOf(std::move(copied[direction]));
      out_.transfers[direction].busy_ns = TotalLength(united);
      if (direction < trace_.ceiling_bytes_per_s.size()) {
        out_.transfers[direction].ceiling_bytes_per_s = trace_.ceiling_bytes_per_s[direction];
      }
      if (direction != static_cast<std::size_t>(DirectionCode::kWithin)) {
        across.insert(across.end(), united.begin(), united.end());
      }
    }
    FinishTime(UnionOf(std::move(across)));
  }

  void FinishTime(const std::vector<Interval>& copying) {
    const std::vector<Interval> waiting = UnionOf(std::move(copy_waits_));
    out_.time.transfer_ns = TotalLength(copying);
    out_.time.exposed_ns = TotalLength(waiting);
    out_.time.hidden_ns = LengthOutside(copying, waiting);
    const std::vector<Interval> computing = UnionOf(std::move(ops_));
    out_.time.compute_ns = TotalLength(computing);
    if (computing.empty()) return;
    waits_.insert(waits_.end(), computing.begin(), computing.end());
    busy_ = UnionOf(std::move(waits_));
    const Interval whole = {extent_.first_ns, extent_.last_ns};
    out_.time.unknown_ns = LengthOutside({&whole, 1}, busy_);
  }

  void FinishStalls() {
    for (const auto& [key, sum] : stalls_) {
      out_.stalls.push_back({trace_.LabelText(key.first), static_cast<StallCause>(key.second), sum.count, sum.amount});
    }
    std::stable_sort(out_.stalls.begin(), out_.stalls.end(),
                     [](const StallSummary& a, const StallSummary& b) { return a.ns > b.ns; });
  }

  void FinishTiers() {
    for (std::size_t tier = 0; tier < kTierCodeCount; ++tier) {
      const Live& live = live_[tier];
      if (!live.used) continue;
      TierSummary summary;
      summary.tier = static_cast<TierCode>(tier);
      if (summary.tier == TierCode::kDevice) summary.capacity = trace_.device_capacity;
      if (summary.tier == TierCode::kPinned) summary.capacity = trace_.pinned_capacity;
      summary.peak_bytes = live.peak;
      summary.peak_time_ns =
          live.peak == 0 ? 0 : static_cast<std::int64_t>(Elapsed(extent_.first_ns, live.peak_time_ns));
      for (std::size_t tag = 0; tag < kTagCount; ++tag) {
        // Of what was allocated before the records begin, only the free is there: the sum is below 0.
        if (static_cast<std::int64_t>(live.at_peak[tag]) > 0) {
          summary.at_peak.push_back({static_cast<Tag>(tag), live.at_peak[tag]});
        }
      }
      std::stable_sort(summary.at_peak.begin(), summary.at_peak.end(),
                       [](const TagBytes& a, const TagBytes& b) { return a.bytes > b.bytes; });
      const std::uint64_t untagged = live.at_peak[static_cast<std::size_t>(Tag::kNone)];
      summary.untagged_at_peak = static_cast<std::int64_t>(untagged) > 0 ? untagged : 0;
      if (static_cast<std::int64_t>(live.reserved_at_peak) > 0) summary.reserved_at_peak = live.reserved_at_peak;
      if (summary.reserved_at_peak > live.peak) summary.unused_at_peak = summary.reserved_at_peak - live.peak;
      summary.live_at_end = static_cast<std::int64_t>(live.total) < 0 ? 0 : live.total;
      summary.times_full = live.times_full;
      summary.consistent = live.consistent;
      out_.tiers.push_back(std::move(summary));
    }
  }

  RecordSource& source_;
  const Trace& trace_;
  const RecordExtent extent_;
  Summary out_;
  StepCollector steps_;
  std::array<std::array<Sum, kDecisionReasonCount>, kDecisionActionCount> decisions_ = {};
  absl::flat_hash_map<std::uint64_t, Transfer> transfers_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> storage_labels_;
  std::vector<Interval> waits_;                                 // all stalls
  std::vector<Interval> copy_waits_;                            // those that copies are the cause of
  absl::flat_hash_map<std::uint64_t, std::int64_t> op_begins_;  // of ops under way
  std::vector<Interval> ops_;
  std::vector<Interval> busy_;  // an op ran or a stall was known; in a trace with ops
  std::map<std::pair<std::uint32_t, std::uint16_t>, Sum> stalls_;  // ordered, so that equal ones print in one order
  std::array<Live, kTierCodeCount> live_ = {};
};

}  // namespace

Summary Summarize(RecordSource& source) { return Summarizer(source).Run(); }

Summary Summarize(const Trace& trace) {
  TraceRecords records(trace);
  return Summarize(records);
}

}  // namespace tierlib::trace
