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

// " with 2 for learner 0 where learner 0 calls it with 1": the first share that differs. REQUIRES: one does.
std::string SharesText(const std::vector<std::uint64_t>& shares, const std::vector<std::uint64_t>& of_first) {
  std::size_t rank = 0;
  while (shares[rank] == of_first[rank]) ++rank;
  return " with " + std::to_string(shares[rank]) + " for learner " + std::to_string(rank) +
         " where learner 0 calls it with " + std::to_string(of_first[rank]);
}

}  // namespace

std::string Call::ToString() const {
  std::string text = name;
  if (count > 0) text += " of " + std::to_string(count) + " " + DTypeName(dtype);
  if (dtype != DType::kU8) text += std::string(" (") + ReductionName(reduction) + ")";
  if (tag != 0) text += " tagged " + std::to_string(tag);
  if (root != 0) text += " from learner " + std::to_string(root);
  return text;
}

bool Call::Agrees(const Call& other) const {
  const bool same_shares =
      (by_rank == nullptr) == (other.by_rank == nullptr) && (by_rank == nullptr || *by_rank == *other.by_rank);
  return std::string_view(name) == other.name && count == other.count && dtype == other.dtype &&
         reduction == other.reduction && root == other.root && tag == other.tag && same_shares;
}

Status DisagreementOf(const std::vector<Call>& calls) {
  bool all_refuse = !calls[0].refusal.ok();
  for (const Call& call : calls) all_refuse = all_refuse && call.refusal == calls[0].refusal;
  if (all_refuse) return OkStatus();
  for (std::size_t rank = 0; rank < calls.size(); ++rank) {
    const Status& refusal = calls[rank].refusal;
    if (refusal.ok()) continue;
    return Status(refusal.code(), "learner " + std::to_string(rank) + ": " + std::string(refusal.message()));
  }
  const std::string first = calls[0].ToString();
  for (std::size_t rank = 1; rank < calls.size(); ++rank) {
    if (calls[rank].Agrees(calls[0])) continue;
    const std::string own = calls[rank].ToString();
    return InvalidArgumentError(
        "learner " + std::to_string(rank) + " calls " + own +
        (own != first ? " where learner 0 calls " + first : SharesText(*calls[rank].by_rank, *calls[0].by_rank)) +
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
  std::uint64_t before = 0;
  for (int other = 0; other < rank; ++other) before += shares[static_cast<std::size_t>(other)];
  return before;
}

}  // namespace tierlib::comm
