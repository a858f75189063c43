// ThreadGroup: learners that are threads of one process, for tests, benchmarks and a machine with several devices;
// between processes MPI and NCCL implement the same interface.
#ifndef TIERLIB_COMM_THREAD_GROUP_H_
#define TIERLIB_COMM_THREAD_GROUP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"

namespace tierlib::comm {

struct ThreadGroupOptions {
  // How long the first learner of a collective waits for the last one to come. A learner that has come is waited for
  // without a bound: from there on all it does is copy and add.
  std::uint64_t deadline_ns = 60'000'000'000;
};

// The communicators of ranks 0 to learners - 1. Each may be destroyed at any time, from any thread that does not use
// it. Learners read each other's memory directly, while both are in the call. InvalidArgument without a learner.
StatusOr<std::vector<std::unique_ptr<Communicator>>> MakeThreadGroup(int learners,
                                                                     const ThreadGroupOptions& options = {});

}  // namespace tierlib::comm

#endif  // TIERLIB_COMM_THREAD_GROUP_H_
