#include "allocator/stream_clocks.h"

#include <algorithm>
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

void Raise(StreamClocks::Stamp& stamp, std::size_t index, std::uint64_t value) {
  if (stamp.size() <= index) stamp.resize(index + 1, 0);
  stamp[index] = std::max(stamp[index], value);
}

}  // namespace

StreamClocks::~StreamClocks() {
  for (Clock& clock : clocks_) {
    for (const Mark& mark : clock.marks) device_.DestroyEvent(mark.event);
  }
  for (const EventId event : spare_) device_.DestroyEvent(event);
}

void StreamClocks::Join(Stamp& stamp, const Stamp& other) {
  for (std::size_t i = 0; i < other.size(); ++i) Raise(stamp, i, other[i]);
}

void StreamClocks::StampFree(Stamp& stamp, Stream stream) {
  const std::size_t index = IndexOf(stream);
  clocks_[index].unmarked_frees = true;
  Raise(stamp, index, clocks_[index].marked + 1);
}

Status StreamClocks::Order(Stream stream, const Stamp& stamp) {
  const auto ordered = [&](std::size_t i) { return At(stamp, i) <= clocks_[i].completed; };
  std::size_t first = 0;
  while (first < stamp.size() && (ordered(first) || clocks_[first].stream == stream)) ++first;
  if (first == stamp.size()) return OkStatus();  // the common case: freed here, or long ago
  const std::size_t self = IndexOf(stream);
  for (std::size_t i = first; i < stamp.size(); ++i) {
    if (i == self || ordered(i) || stamp[i] <= At(clocks_[self].seen, i)) continue;
    if (stamp[i] > clocks_[i].marked) TIERLIB_RETURN_IF_ERROR(RecordMark(i));
    if (ordered(i)) continue;  // its stream is gone
    const std::deque<Mark>& marks = clocks_[i].marks;
    const auto mark = std::find_if(marks.begin(), marks.end(), [&](const Mark& m) { return m.value >= stamp[i]; });
    TIERLIB_CHECK(mark != marks.end(), "StreamClocks I2: a stamp has no mark");
    TIERLIB_RETURN_IF_ERROR(device_.WaitEvent(stream, mark->event));
    Join(clocks_[self].seen, mark->seen);
  }
  return OkStatus();
}

void StreamClocks::Tick(Stream stream) {
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    if (clocks_[i].retired || clocks_[i].stream != stream || !clocks_[i].unmarked_frees) continue;
    // Where this fails, Order tries again and reports.
    (void)RecordMark(i);
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
  for (Clock& clock : clocks_) {
    if (!clock.retired && clock.stream == stream) Retire(clock);
  }
}

std::size_t StreamClocks::IndexOf(Stream stream) {
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    if (!clocks_[i].retired && clocks_[i].stream == stream) return i;
  }
  // Values go on where the earlier stream's ended, so what others have seen of this clock stays true.
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    Clock& clock = clocks_[i];
    if (!clock.retired && (clocks_.size() < kFewClocks || !Idle(clock))) continue;
    clock.stream = stream;
    clock.retired = false;
    clock.seen.clear();
    return i;
  }
  clocks_.emplace_back().stream = stream;
  return clocks_.size() - 1;
}

Status StreamClocks::RecordMark(std::size_t index) {
  Clock& clock = clocks_[index];
  DropMarks(clock);
  TIERLIB_ASSIGN_OR_RETURN(const EventId event, TakeEvent());
  const Status recorded = device_.RecordEvent(event, clock.stream);
  if (recorded.code() == StatusCode::kInvalidArgument) {  // destroyed, and with that, its work has ended
    spare_.push_back(event);
    Retire(clock);
    return OkStatus();
  }
  if (!recorded.ok()) {
    spare_.push_back(event);
    return recorded;
  }
  ++clock.marked;
  clock.unmarked_frees = false;
  Mark mark{clock.marked, event, clock.seen};
  Raise(mark.seen, index, clock.marked);
  clock.marks.push_back(std::move(mark));
  return OkStatus();
}

StatusOr<EventId> StreamClocks::TakeEvent() {
  if (!spare_.empty()) {
    const EventId event = spare_.back();
    spare_.pop_back();
    return event;
  }
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
  }
  TIERLIB_CHECK(events == events_, "StreamClocks: an event was lost");
}

}  // namespace tierlib
