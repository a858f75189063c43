// RunLearners: learners that are threads of this process.
#include <atomic>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "tierlib/comm/thread_group.h"
#include "train_lm/learner.h"
#include "train_lm/learner_failures.h"

namespace train_lm {

using tierlib::Status;

Status RunLearners(int count, const std::function<Status(Learner)>& body) {
  if (count == 1) return body(Learner());
  TIERLIB_ASSIGN_OR_RETURN(auto group, tierlib::comm::MakeThreadGroup(count, {.deadline_ns = kLearnerDeadlineNs}));
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
