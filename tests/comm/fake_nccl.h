// What tests tell the fake NCCL to do. Its library has the function FakeNccl.
#ifndef TIERLIB_TESTS_COMM_FAKE_NCCL_H_
#define TIERLIB_TESTS_COMM_FAKE_NCCL_H_

#include <atomic>

namespace tierlib::comm {

enum class NcclFault : int {
  kNone,
  kHangs,        // the learner's bytes do not move, and nothing is said
  kAsyncError,   // the same, and an error shows
  kRefusesWork,  // ncclGroupEnd fails
  kRefusesJoin,  // ncclCommInitRankConfig fails
};

struct FakeNcclControl {
  std::atomic<int> version{22800};
  std::atomic<int> faulty_rank{-1};
  std::atomic<NcclFault> fault{NcclFault::kNone};
  std::atomic<int> live{0};  // communicators that were made and not given up
};

using FakeNcclFunction = FakeNcclControl* (*)();

}  // namespace tierlib::comm

#endif  // TIERLIB_TESTS_COMM_FAKE_NCCL_H_
