// Runs a body once per learner of a thread group, each on a thread of its own.
#ifndef TIERLIB_TESTS_COMM_LEARNERS_H_
#define TIERLIB_TESTS_COMM_LEARNERS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tierlib/comm/thread_group.h"

namespace tierlib::comm {

// What each learner's body returned, by rank. A body may take its communicator over and drop it.
template <typename Result>
std::vector<Result> RunLearners(int learners, std::uint64_t deadline_ns,
                                const std::function<Result(std::unique_ptr<Communicator>&)>& body) {
  std::vector<std::unique_ptr<Communicator>> group = MakeThreadGroup(learners, {deadline_ns}).value();
  std::vector<Result> results(group.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < group.size(); ++rank) {
    threads.emplace_back([&, rank] { results[rank] = body(group[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

inline constexpr std::uint64_t kLongNs = 60'000'000'000;  // a deadline that no test is to reach

}  // namespace tierlib::comm

#endif  // TIERLIB_TESTS_COMM_LEARNERS_H_
