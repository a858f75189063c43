// RunLearners: the threads, and which of several failures is told.
#include <atomic>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "tierlib/comm/thread_group.h"
#include "train_lm/learner.h"

namespace train_lm {
namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::comm::Communicator;

// Learners on few processors differ in time by up to all of a step's work: far more than any of them should need.
constexpr std::uint64_t kDeadlineNs = 3'600'000'000'000;

Status RunBody(const std::function<Status(Learner)>& body, Communicator* me) {
  try {
    return body(Learner(me));
  } catch (const std::bad_alloc&) {
    return tierlib::ResourceExhaustedError("the machine has not enough memory for this model and text");
  }
}

std::string TextOf(const Status& status) {
  return status.message().empty() ? status.ToString() : std::string(status.message());
}

// `first`, or the one that it was told of: who gives up within an operator has told the others before it is back.
int CauseOf(const std::vector<Status>& statuses, int first) {
  if (statuses[static_cast<std::size_t>(first)].code() != StatusCode::kUnavailable) return first;
  for (std::size_t rank = 0; rank < statuses.size(); ++rank) {
    const StatusCode code = statuses[rank].code();
    if (code != StatusCode::kOk && code != StatusCode::kUnavailable) return static_cast<int>(rank);
  }
  return first;
}

// The failure that came first, with its learner's name where others do not fail the same way.
Status StatusOfAll(const std::vector<Status>& statuses, int first) {
  if (first < 0) return tierlib::OkStatus();
  first = CauseOf(statuses, first);
  const Status& failure = statuses[static_cast<std::size_t>(first)];
  for (const Status& status : statuses) {
    if (status == failure) continue;
    return Status(failure.code(), "learner " + std::to_string(first) + ": " + TextOf(failure));
  }
  return failure;
}

}  // namespace

Status RunLearners(int count, const std::function<Status(Learner)>& body) {
  if (count == 1) return body(Learner());
  TIERLIB_ASSIGN_OR_RETURN(auto group, tierlib::comm::MakeThreadGroup(count, {.deadline_ns = kDeadlineNs}));
  std::vector<Status> statuses(group.size());
  std::atomic<int> first{-1};
  // Whoever fails because another did finds that one noted already.
  const auto done = [&](std::size_t rank, Status status) {
    int none = -1;
    if (!status.ok() && first.compare_exchange_strong(none, static_cast<int>(rank))) group[rank]->Abort(TextOf(status));
    statuses[rank] = std::move(status);
    group[rank].reset();
  };
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < group.size(); ++rank) {
    try {
      threads.emplace_back([&, rank] { done(rank, RunBody(body, group[rank].get())); });
    } catch (const std::system_error& error) {
      done(rank, tierlib::ResourceExhaustedError(std::string("its thread cannot be started: ") + error.what()));
    }
  }
  for (std::thread& thread : threads) thread.join();
  return StatusOfAll(statuses, first);
}

}  // namespace train_lm
