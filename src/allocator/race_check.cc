#include "allocator/race_check.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace tierlib {

bool RaceCheck::Join(Clock& clock, const Clock& other) {
  bool changed = false;
  if (clock.size() < other.size()) clock.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) {
    changed = changed || other[i] > clock[i];
    clock[i] = std::max(clock[i], other[i]);
  }
  return changed;
}

// --- streams, events and the host -----------------------------------------------------------------------------------

void RaceCheck::StreamBegins(Stream stream, std::string_view name) {
  std::size_t index = streams_.size();
  if (ended_.empty()) {
    streams_.emplace_back();
  } else {  // its time goes on: the host knows that all work of the earlier stream has ended
    index = ended_.back();
    ended_.pop_back();
  }
  streams_[index].stream = stream;
  streams_[index].name = std::string(name);
  indexes_[stream.handle] = index;
}

void RaceCheck::StreamEnded(Stream stream) {
  const std::size_t index = IndexOf(stream);
  HostSaw(Before(stream));
  indexes_.erase(stream.handle);
  ended_.push_back(index);
}

std::size_t RaceCheck::IndexOf(Stream stream) {
  const auto found = indexes_.find(stream.handle);
  if (found != indexes_.end()) return found->second;
  StreamBegins(stream, "of the program");
  return indexes_[stream.handle];
}

void RaceCheck::Recorded(EventId event, Stream stream) {
  Known& known = streams_[IndexOf(stream)];
  recordings_[event] = known.clock;
}

void RaceCheck::Waits(Stream stream, EventId event) {
  const auto found = recordings_.find(event);
  if (found != recordings_.end()) Join(streams_[IndexOf(stream)].clock, found->second);
}

RaceCheck::Clock RaceCheck::Before(EventId event) const {
  const auto found = recordings_.find(event);
  return found == recordings_.end() ? Clock() : found->second;
}

RaceCheck::Clock RaceCheck::Before(Stream stream) const {
  const auto found = indexes_.find(stream.handle);
  return found == indexes_.end() ? Clock() : streams_[found->second].clock;
}

RaceCheck::Clock RaceCheck::Everything() const {
  Clock all;
  for (const Known& known : streams_) Join(all, known.clock);
  return all;
}

void RaceCheck::HostSaw(const Clock& clock) {
  if (Join(host_, clock)) ++host_changes_;
}

void RaceCheck::HostSaw(EventId event) {
  const auto found = recordings_.find(event);
  if (found != recordings_.end()) HostSaw(found->second);
}

// --- accesses -------------------------------------------------------------------------------------------------------

void RaceCheck::Work(Stream stream, race::Name name, absl::Span<const Access> accesses) {
  const std::size_t index = IndexOf(stream);
  Known& known = streams_[index];
  if (known.host_seen != host_changes_) {
    Join(known.clock, host_);
    known.host_seen = host_changes_;
  }
  if (known.clock.size() <= index) known.clock.resize(index + 1, 0);
  Use use;
  use.stream = index;
  use.time = ++known.clock[index];
  use.name = name;
  for (const Access& access : accesses) {
    if (access.bytes == 0) continue;
    use.begin = reinterpret_cast<std::uintptr_t>(access.begin);
    use.end = use.begin + access.bytes;
    access.writes ? Write(use, known.clock) : Read(use, known.clock);
  }
  if (ranges_.size() > next_drop_) DropSettled();
}

void RaceCheck::Read(const Use& use, const Clock& clock) {
  std::uintptr_t begin = use.begin;
  (void)SplitAt(use.begin);
  (void)SplitAt(use.end);
  auto range = ranges_.lower_bound(use.begin);
  while (begin < use.end) {
    if (range == ranges_.end() || range->first > begin) {  // bytes that nothing is known of
      Range fresh;
      fresh.end = range == ranges_.end() ? use.end : std::min(use.end, range->first);
      range = ranges_.emplace(begin, std::move(fresh)).first;
    }
    Range& known = range->second;
    CheckAgainst(known, use, /*writes=*/false, clock);
    auto& reads = known.reads;
    reads.erase(std::remove_if(reads.begin(), reads.end(), [&](const Use& one) { return IsBefore(one, clock); }),
                reads.end());
    reads.push_back(use);
    begin = known.end;
    ++range;
  }
}

void RaceCheck::Write(const Use& use, const Clock& clock) {
  (void)SplitAt(use.begin);
  (void)SplitAt(use.end);
  auto range = ranges_.lower_bound(use.begin);
  while (range != ranges_.end() && range->first < use.end) {
    CheckAgainst(range->second, use, /*writes=*/true, clock);
    range = ranges_.erase(range);
  }
  Range written;
  written.end = use.end;
  written.write = use;
  ranges_.emplace(use.begin, std::move(written));
}

void RaceCheck::CheckAgainst(const Range& range, const Use& use, bool writes, const Clock& clock) {
  if (!IsBefore(range.write, clock)) Report(range.write, /*earlier_writes=*/true, use, writes);
  if (!writes) return;
  for (const Use& read : range.reads) {
    if (!IsBefore(read, clock)) Report(read, /*earlier_writes=*/false, use, writes);
  }
}

void RaceCheck::Report(const Use& earlier, bool earlier_writes, const Use& later, bool later_writes) {
  if (!first_.ok()) return;
  const auto verb = [](bool writes) { return writes ? "writes" : "reads"; };
  const Known& known = streams_[earlier.stream];
  first_ = FailedPreconditionError(absl::StrFormat(
      "race on bytes [%#x, %#x): %s %s them, then %s %s them, and nothing orders the second after the first. What "
      "would: an event recorded on stream %d after the first, and waited for by stream %d or the host before the "
      "second",
      std::max(earlier.begin, later.begin), std::min(earlier.end, later.end), Describe(earlier), verb(earlier_writes),
      Describe(later), verb(later_writes), known.stream.handle, streams_[later.stream].stream.handle));
}

std::string RaceCheck::Describe(const Use& use) const {
  const Known& known = streams_[use.stream];
  return absl::StrFormat("%s%s on stream %d (%s), which uses [%#x, %#x),", use.name.kind, use.name.name,
                         known.stream.handle, known.name, use.begin, use.end);
}

RaceCheck::Ranges::iterator RaceCheck::SplitAt(std::uintptr_t address) {
  auto after = ranges_.lower_bound(address);
  if (after == ranges_.begin() || (after != ranges_.end() && after->first == address)) return after;
  Range& covering = std::prev(after)->second;
  if (covering.end <= address) return after;
  Range upper = covering;
  covering.end = address;
  return ranges_.emplace(address, std::move(upper)).first;
}

void RaceCheck::HostReleases(const void* base, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  (void)SplitAt(begin);
  (void)SplitAt(begin + bytes);
  for (auto range = ranges_.lower_bound(begin); range != ranges_.end() && range->first < begin + bytes;) {
    const auto pending = [&](const Use& use, bool writes) {
      if (IsBefore(use, host_) || !first_.ok()) return;
      first_ = FailedPreconditionError(absl::StrFormat(
          "race on bytes [%#x, %#x): their memory is given back although %s %s them and may be pending. The host must "
          "wait for it",
          range->first, range->second.end, Describe(use), writes ? "writes" : "reads"));
    };
    pending(range->second.write, true);
    for (const Use& read : range->second.reads) pending(read, false);
    range = ranges_.erase(range);
  }
}

void RaceCheck::Forget(const void* base, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  (void)SplitAt(begin);
  (void)SplitAt(begin + bytes);
  ranges_.erase(ranges_.lower_bound(begin), ranges_.lower_bound(begin + bytes));
}

// What the host saw to have ended comes before all that it enqueues from now on.
void RaceCheck::DropSettled() {
  for (auto range = ranges_.begin(); range != ranges_.end();) {
    const auto& reads = range->second.reads;
    const bool settled =
        IsBefore(range->second.write, host_) &&
        std::all_of(reads.begin(), reads.end(), [this](const Use& use) { return IsBefore(use, host_); });
    range = settled ? ranges_.erase(range) : std::next(range);
  }
  next_drop_ = std::max<std::size_t>(1024, 2 * ranges_.size());
}

void RaceCheck::CheckInvariants() const {
  std::uintptr_t end = 0;
  for (const auto& [begin, range] : ranges_) {
    TIERLIB_CHECK(begin >= end && begin < range.end, "RaceCheck I1: ranges overlap, or one is empty");
    end = range.end;
    for (const Use& read : range.reads) {
      TIERLIB_CHECK(read.begin <= begin && read.end >= range.end, "RaceCheck I2: a read of other bytes");
      for (const Use& other : range.reads) {
        TIERLIB_CHECK(&read == &other || read.stream != other.stream, "RaceCheck I2: a read before another one");
      }
    }
  }
}

}  // namespace tierlib
