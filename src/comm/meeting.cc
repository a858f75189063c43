#include "comm/meeting.h"

#include <new>
#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace tierlib::comm {
namespace {

std::string Milliseconds(std::uint64_t ns) { return std::to_string(ns / 1'000'000) + " ms"; }

}  // namespace

Meeting::Meeting(int learners, std::uint64_t deadline_ns)
    : learners_(learners),
      deadline_ns_(deadline_ns),
      calls_(static_cast<std::size_t>(learners)),
      came_(static_cast<std::size_t>(learners), 0),
      left_(static_cast<std::size_t>(learners)) {}

void Meeting::Break(Status status) noexcept {
  if (!broken_.ok()) return;
  broken_ = std::move(status);
  changed_.NotifyAll();
}

void Meeting::BreakByLeaver(int rank) {
  Break(UnavailableError(Name() + ": learner " + std::to_string(rank) + " " + left_[static_cast<std::size_t>(rank)]));
}

std::string Meeting::Name() const {
  std::size_t rank = 0;
  while (came_[rank] == 0) ++rank;
  return "collective " + std::to_string(number_) + " (" + calls_[rank].ToString() + ")";
}

Status Meeting::Meet(int rank, Call call) noexcept {
  const auto self = static_cast<std::size_t>(rank);
  const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
  MutexLock lock(mutex_);
  if (!broken_.ok()) return broken_;
  TIERLIB_CHECK(came_[self] == 0, "a learner is in two collectives at once");
  came_[self] = 1;
  ++arrived_;
  calls_[self] = std::move(call);
  try {
    AwaitTheOthers(deadline_ns);
  } catch (const std::bad_alloc&) {
    Break(Status(StatusCode::kResourceExhausted));
  }
  // Met first: who wakes up late finds the others waiting in Regroup or Part, as nobody leaves a meeting alone.
  return met_ ? OkStatus() : broken_;
}

void Meeting::AwaitTheOthers(std::int64_t deadline_ns) {
  for (int other = 0; other < learners_; ++other) {
    if (!left_[static_cast<std::size_t>(other)].empty()) BreakByLeaver(other);
  }
  if (broken_.ok() && arrived_ == learners_) {
    if (Status status = DisagreementOf(calls_); !status.ok()) {
      Break(std::move(status));
    } else {
      met_ = true;
      changed_.NotifyAll();
    }
  }
  while (!met_ && broken_.ok()) {
    if (changed_.WaitUntil(mutex_, deadline_ns) || met_ || !broken_.ok()) continue;
    Break(Status(StatusCode::kDeadlineExceeded,
                 Name() + ": " + MissingOf(came_) + " did not come within " + Milliseconds(deadline_ns_)));
  }
}

void Meeting::WaitForAll(bool last) {
  MutexLock lock(mutex_);
  if (++regrouped_ < learners_) {
    const std::uint64_t stage = stage_;
    while (stage_ == stage) changed_.Wait(mutex_);
    return;
  }
  regrouped_ = 0;
  ++stage_;
  if (last) {
    came_.assign(came_.size(), 0);
    arrived_ = 0;
    met_ = false;
    ++number_;
  }
  changed_.NotifyAll();
}

void Meeting::Regroup() { WaitForAll(/*last=*/false); }
void Meeting::Part() { WaitForAll(/*last=*/true); }

void Meeting::Leave(int rank, std::string why) noexcept {
  MutexLock lock(mutex_);
  std::string& left = left_[static_cast<std::size_t>(rank)];
  if (!left.empty()) return;
  left = std::move(why);
  if (arrived_ == 0 || met_) return;  // nobody waits; who comes later finds it out
  try {
    BreakByLeaver(rank);
  } catch (const std::bad_alloc&) {
    Break(Status(StatusCode::kUnavailable));
  }
}

}  // namespace tierlib::comm
