#include "comm/call.h"

#include <string_view>

namespace tierlib::comm {
namespace {

const char* ReductionName(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum: return "sum";
    case Reduction::kMin: return "min";
    case Reduction::kMax: return "max";
  }
  return "?";
}

}  // namespace

std::string Call::ToString() const {
  std::string text = name;
  if (count > 0) text += " of " + std::to_string(count) + " " + DTypeName(dtype);
  if (dtype != DType::kU8) text += std::string(" (") + ReductionName(reduction) + ")";
  if (root != 0) text += " from learner " + std::to_string(root);
  return text;
}

bool Call::Agrees(const Call& other) const {
  const bool same_shares =
      (by_rank == nullptr) == (other.by_rank == nullptr) && (by_rank == nullptr || *by_rank == *other.by_rank);
  return std::string_view(name) == other.name && count == other.count && dtype == other.dtype &&
         reduction == other.reduction && root == other.root && same_shares;
}

Status DisagreementOf(const std::vector<Call>& calls) {
  for (std::size_t rank = 1; rank < calls.size(); ++rank) {
    if (calls[rank].Agrees(calls[0])) continue;
    return InvalidArgumentError("learner " + std::to_string(rank) + " calls " + calls[rank].ToString() +
                                " where learner 0 calls " + calls[0].ToString() +
                                ": all learners make the same calls with the same shares");
  }
  return OkStatus();
}

std::string MissingOf(const std::vector<char>& came) {
  std::string ranks;
  int missing = 0;
  for (std::size_t rank = 0; rank < came.size(); ++rank) {
    if (came[rank] != 0) continue;
    ranks += (missing++ == 0 ? "" : ", ") + std::to_string(rank);
  }
  return (missing == 1 ? "learner " : "learners ") + ranks;
}

Status CheckShares(const char* name, const std::vector<std::uint64_t>& shares, int learners) {
  if (shares.size() == static_cast<std::size_t>(learners)) return OkStatus();
  return InvalidArgumentError(std::string(name) + ": " + std::to_string(shares.size()) + " shares for " +
                              std::to_string(learners) + " learners");
}

Status CheckRoot(int root, int learners) {
  if (root >= 0 && root < learners) return OkStatus();
  return InvalidArgumentError("broadcast: learner " + std::to_string(root) + " is not one of " +
                              std::to_string(learners));
}

std::uint64_t SumOf(const std::vector<std::uint64_t>& shares) {
  std::uint64_t sum = 0;
  for (const std::uint64_t share : shares) sum += share;
  return sum;
}

std::uint64_t Before(const std::vector<std::uint64_t>& shares, int rank) {
  return SumOf({shares.begin(), shares.begin() + rank});
}

}  // namespace tierlib::comm
