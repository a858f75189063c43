// Runs a body once per learner: the same tests for every kind of group. Where learners are threads this process has all
// of them, where they are processes it has one, and each process runs the tests.
#ifndef TIERLIB_TESTS_COMM_LEARNERS_H_
#define TIERLIB_TESTS_COMM_LEARNERS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tierlib/comm/communicator.h"

namespace tierlib::comm {

// The members that live in this process of a group of `learners`: thread_members.cc, mpi_members.cc. None where the
// group is larger than the processes that there are.
std::vector<std::unique_ptr<Communicator>> MembersHere(int learners, std::uint64_t deadline_ns);
// True where they are threads of one process.
bool ShareMemory();

// What each learner's body returned, of those in this process, by rank. A body may take its communicator over and drop
// it.
template <typename Result>
std::vector<Result> RunLearners(int learners, std::uint64_t deadline_ns,
                                const std::function<Result(std::unique_ptr<Communicator>&)>& body) {
  std::vector<std::unique_ptr<Communicator>> group = MembersHere(learners, deadline_ns);
  std::vector<Result> results(group.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < group.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = body(group[i]); });
  }
  if (!group.empty()) results[0] = body(group[0]);  // MPI is for one thread
  for (std::thread& thread : threads) thread.join();
  return results;
}

inline constexpr std::uint64_t kLongNs = 60'000'000'000;  // a deadline that no test is to reach

}  // namespace tierlib::comm

#endif  // TIERLIB_TESTS_COMM_LEARNERS_H_
