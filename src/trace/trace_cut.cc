#include "trace/trace_cut.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace tierlib::trace {
namespace {

constexpr std::size_t kResidencies = 256;

// The storage that a record names; 0 for none.
std::uint64_t StorageOf(const Record& record) {
  switch (record.event) {
    case Event::kStorageWrite:
    case Event::kStorageRetire:
    case Event::kResidency:
    case Event::kRecomputes:
    case Event::kPack:
    case Event::kDecision:
    case Event::kUnpack:
    case Event::kDrop:
    case Event::kReplay:
    case Event::kTakeBack:
    case Event::kReload:
    case Event::kReloadInVain:
    case Event::kFreed:
    case Event::kFreedNothing:
    case Event::kReconsider:
    case Event::kDerive:
    case Event::kStallBegin:
    case Event::kStallEnd: return record.subject;
    case Event::kTransferStorage: return record.value;
    default: return 0;
  }
}

class Cutter {
 public:
  explicit Cutter(std::int64_t begin_ns) : begin_ns_(begin_ns) {}

  // A record before the span.
  void Before(const Record& record) {
    const Earlier earlier = {before_++, record};
    switch (record.event) {
      case Event::kPoolReserve:
      case Event::kPoolRelease:
        reserved_[record.subject] += record.event == Event::kPoolReserve ? record.value : 0 - record.value;
        return;
      case Event::kCallStack: stacks_[{record.subject, record.detail}] = earlier; return;
      case Event::kPoolAllocate: blocks_[{record.detail, record.subject}] = WithStack(earlier); return;
      case Event::kPoolFree: blocks_.erase({record.detail, record.subject}); return;
      case Event::kStorageRegister: storages_[record.subject] = {WithStack(earlier), std::nullopt}; return;
      case Event::kStorageRetire:
        if (const auto found = storages_.find(record.subject); found != storages_.end())
          found->second.retired = earlier;
        return;
      case Event::kDecision:
        if (decisions_.size() == kDecisionsMost) decisions_.erase(decisions_.begin());
        decisions_.push_back(earlier);
        return;
      case Event::kPack:
        decisions_.clear();
        stacks_.erase(PlaceOf(record));
        return;
      default: return;
    }
  }

  // In a pass over the span before `Keeps`: what of the state it needs.
  void LookAhead(const Record& record) {
    used_.insert(StorageOf(record));
    if (record.event == Event::kDerive) used_.insert(record.value);
    decisions_within_ += record.event == Event::kDecision ? 1 : 0;
    if (record.event != Event::kPack || record.value == 0 || packed_) return;
    packed_ = true;
    // A pack is told after one or two decisions: of those before the span, the ones about its value.
    for (std::size_t i = decisions_.size(); i > 0 && decisions_within_ + pending_.size() < kDecisionsMost; --i) {
      if (decisions_[i - 1].record.subject != record.subject) break;
      pending_.push_back(decisions_[i - 1]);
    }
  }

  // What there was at the begin of the span.
  void WriteState(std::vector<Record>* records) const {
    const auto add = [&](Record record) {
      record.time_ns = begin_ns_;
      records->push_back(record);
    };
    for (const auto& [tier, bytes] : reserved_) {
      if (static_cast<std::int64_t>(bytes) > 0) add({0, Event::kPoolReserve, Tag::kNone, 0, 0, tier, bytes});
    }
    std::vector<Earlier> state = pending_;
    const auto push = [&state](const Origin& origin) {
      state.push_back(origin.record);
      if (origin.stack.has_value()) state.push_back(*origin.stack);
    };
    for (const auto& [place, block] : blocks_) push(block);
    for (const auto& [storage, known] : storages_) {
      if (known.retired.has_value() && used_.count(storage) == 0) continue;
      push(known.registered);
      if (known.retired.has_value()) state.push_back(*known.retired);
    }
    std::sort(state.begin(), state.end(), [](const Earlier& a, const Earlier& b) { return a.index < b.index; });
    for (const Earlier& earlier : state) add(earlier.record);
  }

  // Whether a record of the span is of something that began within it.
  bool Keeps(const Record& record) {
    switch (record.event) {
      case Event::kStepBegin: in_step_ = true; return true;
      case Event::kBackwardBegin: return in_step_;
      case Event::kStepEnd: return std::exchange(in_step_, false);
      case Event::kPack:
        if (record.value > 0) ++values_[record.subject];
        return true;
      case Event::kUnpack: return values_[record.subject] > 0;
      case Event::kDrop: return TakeOne(values_[record.subject]);
      case Event::kResidency: return KeepsResidency(record);
      // The ask is the first record of a transfer but for the one that names its storage.
      case Event::kTransferStorage:
      case Event::kTransferAsk: transfers_.insert({record.subject, record.detail}); return true;
      case Event::kTransferBegin:
      case Event::kTransferEnd: return transfers_.count({record.subject, record.detail}) > 0;
      case Event::kStallBegin: ++stalls_[{record.subject, record.detail}]; return true;
      case Event::kStallEnd: return TakeOne(stalls_[{record.subject, record.detail}]);
      case Event::kOpBegin: ++ops_[{record.subject, record.detail}]; return true;
      case Event::kOpEnd: return TakeOne(ops_[{record.subject, record.detail}]);
      default: return true;
    }
  }

 private:
  static constexpr std::size_t kDecisionsMost = 2;  // about one value
  // A record before the span, and its place among them.
  struct Earlier {
    std::uint64_t index = 0;
    Record record;
  };
  // One that tells of something that was there later, and the call stack that was written before it.
  struct Origin {
    Earlier record;
    std::optional<Earlier> stack;
  };
  struct Storage {
    Origin registered;
    std::optional<Earlier> retired;  // nothing while it is live
  };
  using Place = std::pair<std::uint64_t, std::uint16_t>;  // a subject, and a detail or an event

  static Place PlaceOf(const Record& record) { return {record.subject, static_cast<std::uint16_t>(record.event)}; }

  Origin WithStack(const Earlier& earlier) {
    Origin origin = {earlier, std::nullopt};
    const auto stack = stacks_.find(PlaceOf(earlier.record));
    if (stack == stacks_.end()) return origin;
    origin.stack = stack->second;
    stacks_.erase(stack);
    return origin;
  }

  static bool TakeOne(std::uint64_t& count) {
    if (count == 0) return false;
    --count;
    return true;
  }

  // Snapshots begin on the device, as code 0.
  bool KeepsResidency(const Record& record) {
    std::array<std::uint32_t, 8>& there = residencies_[record.subject];
    const std::size_t from = record.detail / kResidencies;
    const std::size_t to = record.detail % kResidencies;
    if (from >= there.size() || to >= there.size()) return true;
    if (from != 0 && there[from] == 0) return false;
    if (from != 0) --there[from];
    ++there[to];
    return true;
  }

  const std::int64_t begin_ns_;
  std::uint64_t before_ = 0;                         // records so far
  std::map<std::uint64_t, std::uint64_t> reserved_;  // by tier; wraps around in a damaged trace
  absl::flat_hash_map<std::pair<std::uint16_t, std::uint64_t>, Origin> blocks_;
  absl::flat_hash_map<std::uint64_t, Storage> storages_;
  absl::flat_hash_map<Place, Earlier> stacks_;  // whose record has not come yet
  std::vector<Earlier> decisions_;              // the last ones since the last pack
  absl::flat_hash_set<std::uint64_t> used_;     // storages that the span names
  std::size_t decisions_within_ = 0;            // in the span
  bool packed_ = false;                         // the span's first pack was seen
  std::vector<Earlier> pending_;                // decisions about it
  bool in_step_ = false;
  absl::flat_hash_map<std::uint64_t, std::uint64_t> values_;
  absl::flat_hash_map<std::uint64_t, std::array<std::uint32_t, 8>> residencies_;
  absl::flat_hash_set<Place> transfers_;
  absl::flat_hash_map<Place, std::uint64_t> stalls_, ops_;
};

// Those that begin up to the span's end, no longer than it.
void CopyGaps(const Trace& trace, std::int64_t end_ns, Trace* part) {
  part->dropped = trace.dropped;
  for (Gap gap : trace.gaps) {
    if (gap.begin_ns > end_ns) {
      if (gap.reason == GapReason::kDropped) part->dropped = 0;
      continue;
    }
    if (gap.reason == GapReason::kTruncated) continue;  // so is every part, at its own end
    gap.end_ns = std::min(gap.end_ns, end_ns);
    part->gaps.push_back(gap);
  }
}

// The texts that its records name.
void CopyLabels(const Trace& trace, Trace* part) {
  const auto keep = [&](std::uint64_t label) {
    const auto text = trace.labels.find(static_cast<std::uint32_t>(label));
    if (text != trace.labels.end()) part->labels.insert(*text);
  };
  for (const Record& record : part->records) {
    keep(record.label);
    if (record.event == Event::kCallStack) keep(record.value);
  }
}

}  // namespace

Trace CutTrace(RecordSource& source, std::int64_t begin_ns, std::int64_t end_ns) {
  const Trace& trace = source.about();
  Trace part;
  part.rank = trace.rank;
  part.process_id = trace.process_id;
  part.start_monotonic_ns = trace.start_monotonic_ns;
  part.start_wall_ns = trace.start_wall_ns;
  part.device_capacity = trace.device_capacity;
  part.pinned_capacity = trace.pinned_capacity;
  part.device = trace.device;
  part.ceiling_bytes_per_s = trace.ceiling_bytes_per_s;
  part.copy_limits = trace.copy_limits;
  part.closed = false;
  CopyGaps(trace, end_ns, &part);

  Cutter cutter(begin_ns);
  if (begin_ns > RecordSource::kFirstNs) {
    source.ForEachBetween(RecordSource::kFirstNs, begin_ns - 1, [&](const Record& record) { cutter.Before(record); });
  }
  source.ForEachBetween(begin_ns, end_ns, [&](const Record& record) { cutter.LookAhead(record); });
  cutter.WriteState(&part.records);
  source.ForEachBetween(begin_ns, end_ns, [&](const Record& record) {
    if (cutter.Keeps(record)) part.records.push_back(record);
  });
  CopyLabels(trace, &part);
  return part;
}

Trace CutTrace(const Trace& trace, std::int64_t begin_ns, std::int64_t end_ns) {
  TraceRecords records(trace);
  return CutTrace(records, begin_ns, end_ns);
}

}  // namespace tierlib::trace
