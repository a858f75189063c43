// Call: what one learner brings to a collective, and what learners must agree on.
#ifndef TIERLIB_SRC_COMM_CALL_H_
#define TIERLIB_SRC_COMM_CALL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/comm/communicator.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::comm {

struct Call {
  const char* name = "";                                // "all_gather", outlives the call
  const std::vector<std::uint64_t>* by_rank = nullptr;  // bytes or elements; null: the collective has none
  std::uint64_t count = 0;                              // bytes or elements
  DType dtype = DType::kU8;
  Reduction reduction = Reduction::kSum;
  int root = 0;
  std::uint64_t tag = 0;
  const void* in = nullptr;
  void* out = nullptr;
  Status refusal = OkStatus();  // why this learner cannot make the call: nobody does then, by its name

  // "all_reduce of 12 f32 (sum)": all that learners must agree on but the single shares.
  std::string ToString() const;
  bool Agrees(const Call& other) const;
};

// OK where all learners made the same call, or all refuse theirs for the same reason. Otherwise a learner's refusal, by
// its name, or InvalidArgument where a call is not that of learner 0. `calls` are by rank, one at least.
Status DisagreementOf(const std::vector<Call>& calls);

// "learner 2" or "learners 2, 5": those whose entry is 0.
std::string MissingOf(const std::vector<char>& came);

// InvalidArgument where there is not one share for each of `learners`.
Status CheckShares(const char* name, const std::vector<std::uint64_t>& shares, int learners);
// InvalidArgument where `root` is not a learner.
Status CheckRoot(int root, int learners);

std::uint64_t SumOf(const std::vector<std::uint64_t>& shares);
// The sum of the shares before that of `rank`.
std::uint64_t Before(const std::vector<std::uint64_t>& shares, int rank);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_CALL_H_
