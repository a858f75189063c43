#include "storage/time_ledger.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "base/clock.h"

namespace tierlib {
namespace {

// Of copies, and of stalls, that a step may have: what is beyond is counted as unmeasured.
constexpr std::size_t kMostMeasured = 65'536;
constexpr std::size_t kMostLabels = 1024;
// Steps that may be without figures: a device that is so far behind, or lost, gives none for the oldest.
constexpr std::size_t kMostSteps = 64;

std::uint64_t& FieldOf(StallTimes& times, trace::StallCause cause) {
  switch (cause) {
    case trace::StallCause::kLateCopyIn: return times.late_copy_in_ns;
    case trace::StallCause::kCopyOutTail: return times.copy_out_tail_ns;
    case trace::StallCause::kWriteFence: return times.write_fence_ns;
    case trace::StallCause::kProducer: return times.producer_ns;
    case trace::StallCause::kAllocation:
    case trace::StallCause::kHostPool:
    case trace::StallCause::kDisk:
    case trace::StallCause::kContention:
    case trace::StallCause::kChecksum: break;
  }
  return times.allocation_ns;
}

std::uint64_t& FieldOf(HostWaitTimes& times, trace::StallCause cause) {
  switch (cause) {
    case trace::StallCause::kHostPool: return times.host_pool_ns;
    case trace::StallCause::kDisk: return times.disk_ns;
    case trace::StallCause::kContention: return times.contention_ns;
    case trace::StallCause::kChecksum: return times.checksum_ns;
    default: return times.allocation_ns;
  }
}

void Accumulate(HostWaitTimes& sum, const HostWaitTimes& part) {
  sum.allocation_ns += part.allocation_ns;
  sum.host_pool_ns += part.host_pool_ns;
  sum.disk_ns += part.disk_ns;
  sum.contention_ns += part.contention_ns;
  sum.checksum_ns += part.checksum_ns;
}

bool IsOfCopies(trace::StallCause cause) {
  return cause == trace::StallCause::kLateCopyIn || cause == trace::StallCause::kCopyOutTail ||
         cause == trace::StallCause::kWriteFence;
}

std::vector<Interval> Clipped(const std::vector<Interval>& all, Interval window) {
  std::vector<Interval> parts;
  parts.reserve(all.size());
  for (const Interval& one : all) parts.push_back(Clip(one, window));
  return parts;
}

void Accumulate(StreamTimes& sum, const StreamTimes& part) {
  sum.wall_ns += part.wall_ns;
  sum.compute_ns += part.compute_ns;
  sum.stalls.late_copy_in_ns += part.stalls.late_copy_in_ns;
  sum.stalls.copy_out_tail_ns += part.stalls.copy_out_tail_ns;
  sum.stalls.write_fence_ns += part.stalls.write_fence_ns;
  sum.stalls.allocation_ns += part.stalls.allocation_ns;
  sum.stalls.producer_ns += part.stalls.producer_ns;
  sum.unknown_ns += part.unknown_ns;
}

StreamTimes& EntryOf(std::vector<StreamTimes>& streams, Stream stream) {
  auto found = std::find_if(streams.begin(), streams.end(), [&](const auto& one) { return one.stream == stream; });
  if (found == streams.end()) {
    found = streams.insert(found, StreamTimes());
    found->stream = stream;
  }
  return *found;
}

void Accumulate(StepTimes& sum, const StepTimes& part) {
  sum.step = part.step;
  sum.steps += part.steps;
  sum.wall_ns += part.wall_ns;
  sum.host_ns += part.host_ns;
  sum.copy_out_ns += part.copy_out_ns;
  sum.copy_in_ns += part.copy_in_ns;
  sum.transfer_ns += part.transfer_ns;
  sum.exposed_ns += part.exposed_ns;
  sum.hidden_ns += part.hidden_ns;
  sum.unmeasured += part.unmeasured;
  Accumulate(sum.host_waits, part.host_waits);
  for (const StreamTimes& one : part.streams) Accumulate(EntryOf(sum.streams, one.stream), one);
}

}  // namespace

TimeLedger::TimeLedger(DeviceBackend& device, EventPool& events) : device_(device), events_(events) {
  times_.device = device.info().device;
}

void TimeLedger::BeginStep(std::uint64_t number) {
  EndStep();
  if (steps_.size() >= kMostSteps) steps_.pop_front();
  Step step;
  step.number = number;
  step.host.begin = NowNs();
  for (const Stream stream : followed_) {
    StatusOr<MarkRef> begin = events_.MarkNow(stream);
    if (begin.ok()) step.streams.push_back({stream, *std::move(begin), nullptr});
  }
  steps_.push_back(std::move(step));
}

void TimeLedger::EndStep() {
  if (!in_step()) return;
  Step& step = steps_.back();
  step.ended = true;
  step.host.end = NowNs();
  for (FollowedStream& followed : step.streams) {
    StatusOr<MarkRef> end = events_.MarkNow(followed.stream);
    if (end.ok()) followed.end = *std::move(end);
  }
  const auto gone = [](const FollowedStream& followed) { return followed.end == nullptr; };
  step.streams.erase(std::remove_if(step.streams.begin(), step.streams.end(), gone), step.streams.end());
}

template <typename T>
void TimeLedger::Keep(std::vector<T>& list, T one) {
  try {
    if (list.size() < kMostMeasured) return list.push_back(std::move(one));
  } catch (const std::bad_alloc&) {
  }
  ++unmeasured_;
}

void TimeLedger::AddTransfer(CopyDirection direction, Interval copied) {
  Keep(direction == CopyDirection::kDeviceToHost ? out_ : in_, copied);
}

void TimeLedger::AddStall(Stream stream, trace::StallCause cause, Interval waited, std::string_view label) {
  Keep(stalls_, {stream, cause, waited});
  try {
    StorageStalls& stalls = StallsOf(label);
    ++stalls.count;
    FieldOf(stalls.times, cause) += waited.length();
  } catch (const std::bad_alloc&) {
  }
}

void TimeLedger::AddHostWait(trace::StallCause cause, std::uint64_t waited_ns, std::string_view label) {
  if (!in_step()) return;
  FieldOf(steps_.back().host_waits, cause) += waited_ns;
  try {
    StorageStalls& stalls = StallsOf(label);
    ++stalls.host_count;
    FieldOf(stalls.host_times, cause) += waited_ns;
  } catch (const std::bad_alloc&) {
  }
}

StorageStalls& TimeLedger::StallsOf(std::string_view label) {
  const auto found = by_label_.find(label);
  if (found != by_label_.end()) return found->second;
  if (by_label_.size() >= kMostLabels) label = "(other)";
  return by_label_.try_emplace(std::string(label), StorageStalls{std::string(label), 0, {}, 0, {}}).first->second;
}

std::vector<StorageStalls> TimeLedger::StallsByStorage() const {
  std::vector<StorageStalls> all;
  all.reserve(by_label_.size());
  for (const auto& [label, stalls] : by_label_) all.push_back(stalls);
  return all;
}

void TimeLedger::Poll() {
  while (!steps_.empty() && steps_.front().ended && steps_.front().claim.use_count() == 1 &&
         Completed(steps_.front())) {
    try {
      Settle(steps_.front());
    } catch (const std::bad_alloc&) {  // it has no figures
    }
    steps_.pop_front();
  }
}

bool TimeLedger::Completed(const Step& step) {
  return std::all_of(step.streams.begin(), step.streams.end(), [&](const FollowedStream& followed) {
    const StatusOr<bool> done = device_.EventDone(followed.end->event);
    return done.ok() && *done;
  });
}

Interval TimeLedger::WindowOf(const Step& step) {
  if (step.streams.empty()) return step.host;
  Interval window = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};
  for (const FollowedStream& followed : step.streams) {
    window.begin = std::min(window.begin, device_.EventTimeNs(followed.begin->event));
    window.end = std::max(window.end, device_.EventTimeNs(followed.end->event));
  }
  return window;
}

void TimeLedger::Settle(const Step& step) {
  const Interval window = WindowOf(step);
  StepTimes times;
  times.step = step.number;
  times.steps = 1;
  times.wall_ns = window.length();
  times.host_ns = step.host.length();
  times.host_waits = step.host_waits;
  times.unmeasured = std::exchange(unmeasured_, 0);
  SettleTransfers(window, times);
  for (const FollowedStream& followed : step.streams) times.streams.push_back(SettleStream(followed));
  for (const Stall& stall : stalls_) {  // of the program's own streams
    const auto same = [&](const FollowedStream& followed) { return followed.stream == stall.stream; };
    if (std::any_of(step.streams.begin(), step.streams.end(), same)) continue;
    FieldOf(EntryOf(times.streams, stall.stream).stalls, stall.cause) += Clip(stall.waited, window).length();
  }
  ForgetBefore(window.end);
  Accumulate(times_.total, times);
  times_.last_step = std::move(times);
}

void TimeLedger::SettleTransfers(Interval window, StepTimes& times) {
  std::vector<Interval> out = UnionOf(Clipped(out_, window));
  const std::vector<Interval> in = UnionOf(Clipped(in_, window));
  times.copy_out_ns = TotalLength(out);
  times.copy_in_ns = TotalLength(in);
  out.insert(out.end(), in.begin(), in.end());
  const std::vector<Interval> copying = UnionOf(std::move(out));
  std::vector<Interval> waits;
  for (const Stall& stall : stalls_) {
    if (IsOfCopies(stall.cause)) waits.push_back(Clip(stall.waited, window));
  }
  const std::vector<Interval> waiting = UnionOf(std::move(waits));
  times.transfer_ns = TotalLength(copying);
  times.exposed_ns = TotalLength(waiting);
  times.hidden_ns = LengthOutside(copying, waiting);
}

StreamTimes TimeLedger::SettleStream(const FollowedStream& followed) {
  const EventId begin = followed.begin->event;
  const EventId end = followed.end->event;
  const Interval window = {device_.EventTimeNs(begin), device_.EventTimeNs(end)};
  StreamTimes times;
  times.stream = followed.stream;
  times.wall_ns = window.length();
  std::vector<Interval> waits;
  for (const Stall& stall : stalls_) {
    if (stall.stream != followed.stream) continue;
    waits.push_back(Clip(stall.waited, window));
    FieldOf(times.stalls, stall.cause) += waits.back().length();
  }
  const std::vector<Interval> waiting = UnionOf(std::move(waits));
  const std::optional<std::int64_t> kernels_before = device_.EventKernelNs(begin);
  const std::optional<std::int64_t> kernels = device_.EventKernelNs(end);
  times.compute_ns = kernels && kernels_before ? static_cast<std::uint64_t>(*kernels - *kernels_before)
                                               : LengthOutside({&window, 1}, waiting);
  const std::uint64_t known = times.compute_ns + TotalLength(waiting);
  times.unknown_ns = times.wall_ns > known ? times.wall_ns - known : 0;
  return times;
}

void TimeLedger::ForgetBefore(std::int64_t end_ns) {
  const auto ended = [end_ns](const Interval& one) { return one.end <= end_ns; };
  out_.erase(std::remove_if(out_.begin(), out_.end(), ended), out_.end());
  in_.erase(std::remove_if(in_.begin(), in_.end(), ended), in_.end());
  const auto over = [&](const Stall& stall) { return ended(stall.waited); };
  stalls_.erase(std::remove_if(stalls_.begin(), stalls_.end(), over), stalls_.end());
}

}  // namespace tierlib
