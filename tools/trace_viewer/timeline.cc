#include "timeline.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "numbers.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Record;

constexpr std::size_t kNameColumnsMost = 200;
constexpr std::array<const char*, trace::kDirectionCodeCount> kCopies = {"copies out", "copies in", "copies within"};

bool ByTime(const Slice& a, const Slice& b) {
  return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns : a.end_ns > b.end_ns;
}

// Splits slices that overlap over tracks "name", "name (2)" ..., each time into the first that is free (I1).
void AddApart(const std::string& name, const char* category, std::vector<Slice> slices,
              std::vector<TimelineTrack>* tracks) {
  std::stable_sort(slices.begin(), slices.end(), ByTime);
  std::vector<TimelineTrack> lanes;
  using End = std::pair<std::uint64_t, std::size_t>;  // of a lane that is taken
  std::priority_queue<End, std::vector<End>, std::greater<>> taken;
  std::set<std::size_t> free;
  for (Slice& slice : slices) {
    for (; !taken.empty() && taken.top().first <= slice.begin_ns; taken.pop()) free.insert(taken.top().second);
    if (free.empty()) {
      const std::string number = lanes.empty() ? "" : " (" + std::to_string(lanes.size() + 1) + ')';
      free.insert(lanes.size());
      lanes.push_back({name + number, category, {}, {}});
    }
    const std::size_t lane = free.extract(free.begin()).value();
    taken.emplace(slice.end_ns, lane);
    lanes[lane].slices.push_back(std::move(slice));
  }
  tracks->insert(tracks->end(), std::make_move_iterator(lanes.begin()), std::make_move_iterator(lanes.end()));
}

class TimelineBuilder {
 public:
  // `zero_ns`: on the trace's monotonic clock.
  TimelineBuilder(trace::RecordSource& source, std::int64_t zero_ns, std::uint64_t* flows)
      : source_(source), trace_(source.about()), zero_ns_(zero_ns), flows_(*flows) {}

  Timeline Build() && {
    timeline_.rank = trace_.rank;
    timeline_.process_id = trace_.process_id;
    timeline_.name = "rank " + std::to_string(trace_.rank) +
                     (trace_.device.empty() ? "" : ", " + Printable(trace_.device, kNameColumnsMost));
    if (source_.extent().records > 0) last_ns_ = Time(source_.extent().last_ns);
    source_.ForEach([this](const Record& record) { Take(record); });
    EndWhatIsOpen();
    ConnectFlows();
    Collect();
    return std::move(timeline_);
  }

 private:
  struct Transfer {
    std::uint64_t asked_ns = 0;
    std::uint64_t begun_ns = 0;
    std::uint64_t storage = 0;
    bool begun = false;
    bool asked = false;
  };
  using OpenOp = std::pair<std::uint64_t, std::uint64_t>;  // begin and stream
  using Copy = std::pair<std::uint16_t, std::size_t>;      // direction and index
  struct Stall {
    Slice slice;
    std::uint64_t stream = 0;
    std::uint64_t storage = 0;
  };

  std::uint64_t Time(std::int64_t time_ns) const {
    return time_ns > zero_ns_ ? static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(zero_ns_) : 0;
  }
  std::uint64_t Time(const Record& record) const { return Time(record.time_ns); }
  std::string Label(std::uint32_t label) const { return Printable(trace_.LabelText(label), kNameColumnsMost); }
  std::string StorageLabel(std::uint64_t storage) const {
    const auto label = storage_labels_.find(storage);
    return label != storage_labels_.end() ? Label(label->second) : "storage " + std::to_string(storage & 0xFFFFFFFF);
  }

  void Take(const Record& record) {
    switch (record.event) {
      case Event::kStepBegin:
      case Event::kBackwardBegin:
      case Event::kStepEnd: return TakeStep(record);
      case Event::kStorageRegister:
        if (record.label != 0) storage_labels_[record.subject] = record.label;
        return;
      case Event::kPoolReserve:
      case Event::kPoolRelease:
      case Event::kPoolAllocate:
      case Event::kPoolFree: return Count(record);
      case Event::kPoolFull:
      case Event::kHostFallback: return TakeShortage(record);
      case Event::kDecision: return TakeDecision(record);
      case Event::kTransferAsk:
      case Event::kTransferBegin:
      case Event::kTransferEnd:
      case Event::kTransferStorage: return TakeTransfer(record);
      case Event::kStallBegin: return BeginStall(record);
      case Event::kStallEnd: return EndStall(record);
      case Event::kOpBegin:
      case Event::kOpEnd: return TakeOp(record);
      default: return;
    }
  }

  // A step encloses its backward part.
  void TakeStep(const Record& record) {
    const std::uint64_t now = Time(record);
    if (record.event != Event::kBackwardBegin) EndStep(now);
    if (record.event == Event::kStepBegin) {
      steps_.push_back({now, now, "step " + std::to_string(record.subject), {}, 0, {}});
      in_step_ = true;
    } else if (record.event == Event::kBackwardBegin && in_step_ && !in_backward_) {
      steps_.push_back({now, now, "backward", {}, 0, {}});
      in_backward_ = true;
    }
  }

  void EndStep(std::uint64_t now) {
    if (in_step_) steps_[steps_.size() - (in_backward_ ? 2 : 1)].end_ns = now;
    if (in_backward_) steps_.back().end_ns = now;
    in_step_ = in_backward_ = false;
  }

  void Count(const Record& record) {
    const bool block = record.event == Event::kPoolAllocate || record.event == Event::kPoolFree;
    const std::uint64_t tier = block ? record.detail : record.subject;
    if (tier >= trace::kTierCodeCount) return;
    const bool more = record.event == Event::kPoolAllocate || record.event == Event::kPoolReserve;
    TierBytes& bytes = tiers_[tier][block ? 0 : 1];
    bytes.value += more ? record.value : 0 - record.value;
    const std::uint64_t shown = static_cast<std::int64_t>(bytes.value) > 0 ? bytes.value : 0;
    bytes.samples.emplace_back(Time(record), shown);
  }

  void TakeShortage(const Record& record) {
    const std::string tier = record.detail < trace::kTierCodeCount
                                 ? trace::TierCodeName(static_cast<trace::TierCode>(record.detail))
                             : record.detail == trace::kRecomputedInstead ? "computed again"
                                                                          : "nowhere";
    const bool full = record.event == Event::kPoolFull;
    std::vector<TimelineArgument> arguments = {{"bytes", record.value, ""}};
    if (full) arguments.push_back({"free_bytes", record.subject, ""});
    shortages_.push_back({Time(record), full ? tier + " is full" : "falls back: " + tier, std::move(arguments)});
  }

  void TakeDecision(const Record& record) {
    const auto action = static_cast<trace::DecisionAction>(record.detail / 256);
    const auto reason = static_cast<trace::DecisionReason>(record.detail % 256);
    decisions_.push_back({Time(record),
                          trace::DecisionActionName(action),
                          {{"bytes", record.value, ""},
                           {"reason", 0, trace::DecisionReasonName(reason)},
                           {"storage", 0, StorageLabel(record.subject)}}});
  }

  void TakeTransfer(const Record& record) {
    if (record.detail >= trace::kDirectionCodeCount) return;
    Transfer& transfer = transfers_[{record.detail, record.subject}];
    switch (record.event) {
      case Event::kTransferStorage: transfer.storage = record.value; return;
      case Event::kTransferAsk:
        transfer.asked = true;
        transfer.asked_ns = Time(record);
        return;
      case Event::kTransferBegin:
        transfer.begun = true;
        transfer.begun_ns = Time(record);
        return;
      default: break;
    }
    if (transfer.begun) AddCopy(record, transfer);
    if (!transfer.begun && record.value == 0) AddFailure(record, transfer);
    transfers_.erase({record.detail, record.subject});
  }

  void AddFailure(const Record& record, const Transfer& transfer) {
    static constexpr const char* kNames[trace::kDirectionCodeCount] = {"a copy out failed", "a copy in failed",
                                                                       "a copy within the device failed"};
    shortages_.push_back({Time(record),
                          kNames[record.detail],
                          {{"transfer", record.subject, ""}, {"storage", 0, StorageLabel(transfer.storage)}}});
  }

  void AddCopy(const Record& record, const Transfer& transfer) {
    Slice slice{
        transfer.begun_ns, std::max(Time(record), transfer.begun_ns), StorageLabel(transfer.storage), {}, 0, {}};
    slice.arguments = {{"bytes", record.value, ""}, {"transfer", record.subject, ""}};
    if (transfer.asked && transfer.asked_ns <= transfer.begun_ns) {
      slice.arguments.push_back({"queued_ns", transfer.begun_ns - transfer.asked_ns, ""});
    }
    copied_of_[transfer.storage].emplace_back(record.detail, copies_[record.detail].size());
    copies_[record.detail].push_back(std::move(slice));
  }

  void BeginStall(const Record& record) {
    if (record.detail >= trace::kStallCauseCount) return;
    open_stalls_[{record.subject, record.detail}].emplace(Time(record), record.value);
  }

  void EndStall(const Record& record) {
    if (record.detail >= trace::kStallCauseCount) return;
    auto& open = open_stalls_[{record.subject, record.detail}];
    const std::uint64_t end = Time(record);
    const std::uint64_t begin = end - std::min(end, record.value);
    Stall stall;
    // Of several streams that wait for one thing, the one that began when this one says that it did.
    const auto found = open.find(begin);
    const auto taken = found != open.end() ? found : open.begin();
    stall.slice = {begin, end, trace::StallCauseName(static_cast<trace::StallCause>(record.detail)), {}, 0, {}};
    if (taken != open.end()) {
      stall.stream = taken->second;
      if (record.subject == 0) stall.slice.begin_ns = std::min(taken->first, end);
      open.erase(taken);
    }
    stall.storage = record.subject;
    if (record.subject != 0) stall.slice.arguments.push_back({"storage", 0, StorageLabel(record.subject)});
    stalls_.push_back(std::move(stall));
  }

  void TakeOp(const Record& record) {
    if (record.event == Event::kOpBegin) {
      open_ops_[record.subject] = {Time(record), record.value};
      return;
    }
    const auto found = open_ops_.find(record.subject);
    if (found == open_ops_.end()) return;
    const auto [begin_ns, stream] = found->second;
    const std::string label = Label(record.label);
    Slice slice{begin_ns, std::max(Time(record), begin_ns), label.empty() ? "op" : label, {}, 0, {}};
    slice.arguments = {{"direction", 0, record.detail == 0 ? "forward" : "backward"}};
    ops_[stream].push_back(std::move(slice));
    open_ops_.erase(found);
  }

  void EndWhatIsOpen() {
    EndStep(last_ns_);
    for (const auto& [key, transfer] : transfers_) {
      if (!transfer.begun) continue;
      copies_[key.first].push_back({transfer.begun_ns,
                                    std::max(last_ns_, transfer.begun_ns),
                                    StorageLabel(transfer.storage),
                                    {{"transfer", key.second, ""}, {"never_ended", 1, ""}},
                                    0,
                                    {}});
    }
    std::vector<std::pair<std::uint64_t, OpenOp>> open(open_ops_.begin(), open_ops_.end());
    std::sort(open.begin(), open.end());
    for (const auto& [number, op] : open) {
      const auto [begin_ns, stream] = op;
      ops_[stream].push_back({begin_ns, std::max(last_ns_, begin_ns), "op", {{"never_ended", 1, ""}}, 0, {}});
    }
  }

  // From a copy to the stall that it ended: one for the same storage that the copy ends within. A flow does not fork,
  // so each copy has one at most.
  void ConnectFlows() {
    for (Stall& stall : stalls_) {
      const auto copied = copied_of_.find(stall.storage);
      if (stall.storage == 0 || copied == copied_of_.end()) continue;
      const auto end_of = [this](const Copy& copy) { return copies_[copy.first][copy.second].end_ns; };
      const auto& list = copied->second;  // in the order of their ends
      auto copy = std::partition_point(list.begin(), list.end(),
                                       [&](const Copy& one) { return end_of(one) < stall.slice.begin_ns; });
      for (; copy != list.end() && end_of(*copy) <= stall.slice.end_ns; ++copy) {
        Slice& slice = copies_[copy->first][copy->second];
        if (slice.flow_out != 0) continue;
        slice.flow_out = ++flows_;
        stall.slice.flows_in.push_back(slice.flow_out);
      }
    }
  }

  void Collect() {
    std::vector<TimelineTrack>* const tracks = &timeline_.tracks;
    if (!steps_.empty()) tracks->push_back({"steps", "step", std::move(steps_), {}});
    for (auto& [stream, slices] : ops_) {
      AddApart(stream == 0 ? "ops" : "ops of stream " + std::to_string(stream), "op", std::move(slices), tracks);
    }
    for (std::size_t i = 0; i < copies_.size(); ++i) AddApart(kCopies[i], "copy", std::move(copies_[i]), tracks);
    std::map<std::uint64_t, std::vector<Slice>> by_stream;
    for (Stall& stall : stalls_) by_stream[stall.stream].push_back(std::move(stall.slice));
    for (auto& [stream, slices] : by_stream) {
      AddApart("waits of stream " + std::to_string(stream), "stall", std::move(slices), tracks);
    }
    if (!decisions_.empty()) tracks->push_back({"decisions", "decision", {}, std::move(decisions_)});
    if (!shortages_.empty()) tracks->push_back({"memory", "memory", {}, std::move(shortages_)});
    for (std::size_t tier = 0; tier < tiers_.size(); ++tier) {
      const std::string name = trace::TierCodeName(static_cast<trace::TierCode>(tier));
      static constexpr const char* kKinds[] = {" live", " reserved"};
      for (std::size_t kind = 0; kind < 2; ++kind) {
        TierBytes& bytes = tiers_[tier][kind];
        if (!bytes.samples.empty()) timeline_.counters.push_back({name + kKinds[kind], std::move(bytes.samples)});
      }
    }
  }

  struct TierBytes {
    std::uint64_t value = 0;  // wraps around in a damaged trace
    std::vector<std::pair<std::uint64_t, std::uint64_t>> samples;
  };

  trace::RecordSource& source_;
  const trace::Trace& trace_;
  const std::int64_t zero_ns_;
  std::uint64_t& flows_;
  Timeline timeline_;
  std::uint64_t last_ns_ = 0;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> storage_labels_;
  std::vector<Slice> steps_;
  bool in_step_ = false;
  bool in_backward_ = false;
  std::map<std::uint64_t, std::vector<Slice>> ops_;                        // by stream; 0: not in the trace
  absl::flat_hash_map<std::uint64_t, OpenOp> open_ops_;                    // by number
  std::map<std::pair<std::uint16_t, std::uint64_t>, Transfer> transfers_;  // under way, by direction and number
  std::array<std::vector<Slice>, trace::kDirectionCodeCount> copies_;
  absl::flat_hash_map<std::uint64_t, std::vector<Copy>> copied_of_;  // by storage
  std::vector<Stall> stalls_;
  absl::flat_hash_map<std::pair<std::uint64_t, std::uint16_t>, std::multimap<std::uint64_t, std::uint64_t>>
      open_stalls_;  // by storage and cause: begin and stream
  std::vector<TimelineInstant> decisions_;
  std::vector<TimelineInstant> shortages_;
  std::array<std::array<TierBytes, 2>, trace::kTierCodeCount> tiers_;  // live and reserved
};

}  // namespace

std::vector<Timeline> TimelinesOf(const std::vector<trace::RecordSource*>& ranks) {
  std::vector<Timeline> timelines;
  std::int64_t first_wall_ns = ranks.empty() ? 0 : ranks.front()->about().start_wall_ns;
  for (const trace::RecordSource* rank : ranks) first_wall_ns = std::min(first_wall_ns, rank->about().start_wall_ns);
  std::uint64_t flows = 0;
  for (trace::RecordSource* rank : ranks) {
    const trace::Trace& trace = rank->about();
    // Wraps around where a damaged header has times from outside all bounds.
    const std::uint64_t later =
        static_cast<std::uint64_t>(trace.start_wall_ns) - static_cast<std::uint64_t>(first_wall_ns);
    const auto zero_ns = static_cast<std::int64_t>(static_cast<std::uint64_t>(trace.start_monotonic_ns) - later);
    timelines.push_back(TimelineBuilder(*rank, zero_ns, &flows).Build());
  }
  return timelines;
}

std::vector<Timeline> TimelinesOf(const std::vector<trace::Trace>& ranks) {
  std::deque<trace::TraceRecords> records(ranks.begin(), ranks.end());
  std::vector<trace::RecordSource*> sources;
  for (trace::TraceRecords& one : records) sources.push_back(&one);
  return TimelinesOf(sources);
}

}  // namespace tierlib::trace_viewer
