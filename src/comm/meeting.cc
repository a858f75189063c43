#include "comm/meeting.h"

#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace tierlib::comm {
namespace {

std::string Milliseconds(std::uint64_t ns) { return std::to_string(ns / 1'000'000) + " ms"; }

}  // namespace

Meeting::Meeting(int learners, std::uint64_t deadline_ns)
    : deadline_ns_(deadline_ns),
      calls_(static_cast<std::size_t>(learners)),
      came_(static_cast<std::size_t>(learners), 0),
      left_(static_cast<std::size_t>(learners)) {}

void Meeting::Break(Status status) {
  if (!broken_.ok()) return;
  broken_ = std::move(status);
  changed_.NotifyAll();
}

Status Meeting::Meet(int rank, const Call& call) {
  const auto self = static_cast<std::size_t>(rank);
  const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
  MutexLock lock(mutex_);
  if (!broken_.ok()) return broken_;
  TIERLIB_CHECK(came_[self] == 0, "a learner is in two collectives at once");
  came_[self] = 1;
  ++arrived_;
  calls_[self] = call;
  const std::string name = "collective " + std::to_string(number_) + " (" + call.ToString() + ")";
  for (std::size_t other = 0; other < left_.size(); ++other) {
    if (!left_[other].empty()) {
      Break(UnavailableError(name + ": learner " + std::to_string(other) + " " + left_[other]));
    }
  }
  if (broken_.ok() && arrived_ == size()) {
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
                 name + ": " + MissingOf(came_) + " did not come within " + Milliseconds(deadline_ns_)));
  }
  // Met first: who wakes up late finds the others waiting in Regroup or Part, as nobody leaves a meeting alone.
  return met_ ? OkStatus() : broken_;
}

void Meeting::WaitForAll(bool last) {
  MutexLock lock(mutex_);
  if (++regrouped_ < size()) {
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

void Meeting::Leave(int rank, std::string_view why) {
  MutexLock lock(mutex_);
  std::string& left = left_[static_cast<std::size_t>(rank)];
  if (!left.empty()) return;
  left = why;
  if (arrived_ == 0 || met_) return;  // nobody waits; who comes later finds it out
  Break(UnavailableError("collective " + std::to_string(number_) + ": learner " + std::to_string(rank) + " " + left));
}

}  // namespace tierlib::comm
