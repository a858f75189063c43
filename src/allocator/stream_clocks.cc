#include "allocator/stream_clocks.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"

namespace tierlib {
namespace {

// Marks kept per clock. A stream that would have waited for an older one waits for a newer one instead: longer than
// needed.
constexpr std::size_t kMarkLimit = 16;
// A clock is used again for another stream only beyond this many, so that few streams cost no queries.
constexpr std::size_t kFewClocks = 8;

std::uint64_t At(const StreamClocks::Stamp& stamp, std::size_t index) {
  return index < stamp.size() ? stamp[index] : 0;
}

}  // namespace

StreamClocks::~StreamClocks() {
  for (Clock& clock : clocks_) {
    for (const Mark& mark : clock.marks) device_.DestroyEvent(mark.event);
  }
  for (const EventId event : spare_) device_.DestroyEvent(event);
}

void StreamClocks::Swap(Stamp& a, Stamp& b) { a.swap(b); }

void StreamClocks::StampFree(Stamp& stamp, Stream stream) {
  try {
    NoteFree(stamp, stream);
  } catch (const std::bad_alloc&) {
    (void)device_.SynchronizeStream(stream);
  }
}

void StreamClocks::NoteFree(Stamp& stamp, Stream stream) {
  std::size_t index = FindKnown(stream);
  if (index == clocks_.size()) {
    TIERLIB_CHECK(stream.device == device_.info().device, "a block was used on a stream of another device");
    const StatusOr<std::size_t> found = IndexOf(stream);
    if (!found.ok()) {
      // Gone, and with that its work has ended; or the device is lost, and nothing runs any more.
      if (found.status().code() != StatusCode::kNotFound) (void)device_.SynchronizeStream(stream);
      return;
    }
    index = *found;
  }
  NoteFree(stamp, index);
}

void StreamClocks::NoteFree(Stamp& stamp, std::size_t index) {
  for (std::size_t i = 0; i < stamp.size(); ++i) {
    if (i != index && IsAfter(index, i, stamp[i])) stamp[i] = 0;
  }
  Clock& clock = clocks_[index];
  Raise(stamp, index, clock.marked + 1);
  clock.unmarked_frees = true;
  if (clock.own || TryMark(index)) return;
  (void)device_.SynchronizeStream(clock.stream);
  Retire(clock);
}

bool StreamClocks::TryMark(std::size_t index) {
  try {
    return RecordMark(index).ok();
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool StreamClocks::IsAfter(std::size_t self, std::size_t index, std::uint64_t value) const {
  if (self == index || value <= clocks_[index].completed) return true;
  return self < clocks_.size() && value <= At(clocks_[self].seen, index);
}

bool StreamClocks::IsOrdered(Stream stream, const Stamp& stamp) {
  const StatusOr<std::size_t> found = Find(stream);
  const std::size_t self = found.ok() ? *found : clocks_.size();
  std::size_t i = 0;
  while (i < stamp.size() && IsAfter(self, i, stamp[i])) ++i;
  return i == stamp.size();
}

bool StreamClocks::WouldWait(Stream stream, const Stamp& stamp) {
  std::size_t self = FindKnown(stream);
  if (self == clocks_.size()) {
    const StatusOr<std::size_t> found = Find(stream);
    if (found.ok()) self = *found;
  }
  for (std::size_t i = 0; i < stamp.size(); ++i) {
    if (IsAfter(self, i, stamp[i])) continue;
    DropMarks(clocks_[i]);
    if (!IsAfter(self, i, stamp[i])) return true;
  }
  return false;
}

Status StreamClocks::Order(Stream stream, const Stamp& stamp) {
  std::size_t first = 0;
  while (first < stamp.size() && stamp[first] <= clocks_[first].completed) ++first;
  if (first == stamp.size()) return OkStatus();  // freed long ago
  std::size_t self = FindKnown(stream);
  if (self == clocks_.size()) {
    TIERLIB_ASSIGN_OR_RETURN(self, Find(stream));
  }
  while (first < stamp.size() && IsAfter(self, first, stamp[first])) ++first;
  return first == stamp.size() ? OkStatus() : OrderAfter(first, stamp, stream);  // mostly freed on the same stream
}

Status StreamClocks::OrderAfter(std::size_t first, const Stamp& stamp, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(const std::size_t self, IndexOf(stream));
  for (std::size_t i = first; i < stamp.size(); ++i) {
    if (IsAfter(self, i, stamp[i])) continue;
    if (stamp[i] > clocks_[i].marked) TIERLIB_RETURN_IF_ERROR(RecordMark(i));
    if (IsAfter(self, i, stamp[i])) continue;  // its stream is gone
    const std::deque<Mark>& marks = clocks_[i].marks;
    const auto mark = std::find_if(marks.begin(), marks.end(), [&](const Mark& m) { return m.value >= stamp[i]; });
    TIERLIB_CHECK(mark != marks.end(), "StreamClocks I2: a stamp has no mark");
    if (watch_ != nullptr) watch_->WaitBegins(stream);
    TIERLIB_RETURN_IF_ERROR(device_.WaitEvent(stream, mark->event));
    if (watch_ != nullptr) watch_->WaitEnds(stream, clocks_[i].stream);
    Join(clocks_[self].seen, mark->seen);
  }
  return OkStatus();
}

void StreamClocks::Poll() {
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    // Where this fails, Order tries again and reports.
    if (clocks_[i].unmarked_frees) (void)TryMark(i);
    DropMarks(clocks_[i]);
  }
}

bool StreamClocks::Reached(const Stamp& stamp) const {
  for (std::size_t i = 0; i < stamp.size(); ++i) {
    if (stamp[i] > clocks_[i].completed) return false;
  }
  return true;
}

void StreamClocks::Tick(Stream stream) {
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    if (clocks_[i].retired || clocks_[i].stream != stream || !clocks_[i].unmarked_frees) continue;
    // Where this fails, Order tries again and reports.
    (void)TryMark(i);
    return;
  }
}

Status StreamClocks::Synchronize(const Stamp& stamp) {
  for (std::size_t i = 0; i < stamp.size(); ++i) {
    if (stamp[i] <= clocks_[i].completed) continue;
    if (stamp[i] > clocks_[i].marked) TIERLIB_RETURN_IF_ERROR(RecordMark(i));
    Clock& clock = clocks_[i];
    if (stamp[i] <= clock.completed) continue;
    TIERLIB_RETURN_IF_ERROR(device_.SynchronizeEvent(clock.marks.back().event));
    DropMarks(clock);
  }
  return OkStatus();
}

void StreamClocks::Forget(Stream stream) {
  const StatusOr<std::size_t> found = Find(stream);
  if (found.ok() && *found < clocks_.size()) Retire(clocks_[*found]);
}

std::size_t StreamClocks::FindKnown(Stream stream) const {
  // While no stream of the device is destroyed, the handle of one of its own stands for that stream.
  const std::uint64_t destroyed = destroyed_.load(std::memory_order_acquire);
  std::size_t i = 0;
  for (; i < clocks_.size(); ++i) {
    const Clock& clock = clocks_[i];
    if (clock.stream == stream && clock.own && clock.destroyed == destroyed && !clock.retired) break;
  }
  return i;
}

StatusOr<std::size_t> StreamClocks::Find(Stream stream) {
  const std::uint64_t destroyed = destroyed_.load(std::memory_order_acquire);
  TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t number, device_.StreamNumber(stream));
  std::size_t i = 0;
  while (i < clocks_.size() && (clocks_[i].retired || clocks_[i].number != number)) ++i;
  if (i < clocks_.size()) clocks_[i].destroyed = destroyed;
  return i;
}

StatusOr<std::size_t> StreamClocks::IndexOf(Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(std::size_t index, Find(stream));
  if (index < clocks_.size()) return index;
  const std::uint64_t destroyed = destroyed_.load(std::memory_order_acquire);
  TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t number, device_.StreamNumber(stream));
  const auto usable = [this](Clock& clock) { return clock.retired || (clocks_.size() >= kFewClocks && Idle(clock)); };
  for (index = 0; index < clocks_.size() && !usable(clocks_[index]);) ++index;
  if (index == clocks_.size()) clocks_.emplace_back();
  // Values go on where the earlier stream's ended, so what others have seen of this clock stays true.
  Clock& clock = clocks_[index];
  clock.stream = stream;
  clock.number = number;
  clock.destroyed = destroyed;
  clock.own = device_.Owns(stream);
  clock.retired = false;
  clock.seen.clear();
  return index;
}

// Of a device that has no memory for it either, it is a status.
Status StreamClocks::Record(EventId event, Stream stream) {
  try {
    return device_.RecordEvent(event, stream);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

Status StreamClocks::RecordMark(std::size_t index) {
  Clock& clock = clocks_[index];
  if (clock.own && !device_.Owns(clock.stream)) {  // destroyed, and with that, its work has ended
    Retire(clock);
    return OkStatus();
  }
  DropMarks(clock);
  Mark mark{clock.marked + 1, 0, clock.seen};  // what needs memory comes before what it changes
  Raise(mark.seen, index, mark.value);
  TIERLIB_ASSIGN_OR_RETURN(mark.event, TakeEvent());
  const EventId event = mark.event;
  try {
    clock.marks.push_back(std::move(mark));
  } catch (const std::bad_alloc&) {
    spare_.push_back(event);
    throw;
  }
  const Status recorded = Record(event, clock.stream);
  if (!recorded.ok()) {
    clock.marks.pop_back();
    spare_.push_back(event);
    if (recorded.code() != StatusCode::kNotFound) return recorded;
    Retire(clock);  // destroyed just now
    return OkStatus();
  }
  ++clock.marked;
  clock.unmarked_frees = false;
  return OkStatus();
}

StatusOr<EventId> StreamClocks::TakeEvent() {
  if (!spare_.empty()) {
    const EventId event = spare_.back();
    spare_.pop_back();
    return event;
  }
  if (spare_.capacity() <= events_) spare_.reserve(2 * events_ + 8);  // for when it is not in use
  StatusOr<EventId> event = device_.CreateEvent();
  if (event.ok()) ++events_;
  return event;
}

void StreamClocks::DropMarks(Clock& clock) {
  while (!clock.marks.empty()) {
    const Mark& oldest = clock.marks.front();
    const StatusOr<bool> done = device_.EventDone(oldest.event);
    if (!done.ok() || !*done) break;
    clock.completed = std::max(clock.completed, oldest.value);
    spare_.push_back(oldest.event);
    clock.marks.pop_front();
  }
  while (clock.marks.size() >= kMarkLimit) {
    // Still pending, so it cannot be recorded again.
    device_.DestroyEvent(clock.marks.front().event);
    --events_;
    clock.marks.pop_front();
  }
}

void StreamClocks::Retire(Clock& clock) {
  clock.retired = true;
  clock.marked += clock.unmarked_frees ? 1 : 0;
  clock.unmarked_frees = false;
  clock.completed = clock.marked;
  for (const Mark& mark : clock.marks) spare_.push_back(mark.event);
  clock.marks.clear();
}

bool StreamClocks::Idle(Clock& clock) {
  if (clock.unmarked_frees) return false;
  DropMarks(clock);
  return clock.marks.empty();
}

void StreamClocks::CheckInvariants() const {
  std::size_t events = spare_.size();
  for (const Clock& clock : clocks_) {
    events += clock.marks.size();
    TIERLIB_CHECK(clock.marks.size() <= kMarkLimit, "StreamClocks: too many marks");
    std::uint64_t last = clock.completed;
    for (const Mark& mark : clock.marks) {
      TIERLIB_CHECK(mark.value > last, "StreamClocks I1: marks do not ascend");
      last = mark.value;
    }
    TIERLIB_CHECK(last == clock.marked, "StreamClocks I2: the newest mark is missing");
    TIERLIB_CHECK(clock.own || !clock.unmarked_frees, "StreamClocks I3: a stream of the program is to be marked later");
  }
  TIERLIB_CHECK(events == events_, "StreamClocks: an event was lost");
}

}  // namespace tierlib
