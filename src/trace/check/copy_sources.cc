#include "trace/check/copy_sources.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace tierlib::trace {
namespace {

constexpr std::uint64_t kPiecesMost = 16;  // of a copy (storage/copy_chunks.h)
constexpr std::uint64_t kAllBytes = std::numeric_limits<std::uint64_t>::max();

// Sums of a damaged trace may be beyond any memory: more than all has arrived then.
std::uint64_t SumAtMost(std::uint64_t a, std::uint64_t b) { return b > kAllBytes - a ? kAllBytes : a + b; }

}  // namespace

CopySources::CopySources(absl::Span<const CopyOut> copies, std::optional<CopyLimits> limits, std::int64_t slack_ns)
    : limits_(limits), slack_ns_(slack_ns) {
  for (const CopyOut& copy : copies) {
    if (!copy.begin_ns.has_value() || !copy.end_ns.has_value()) {
      at_any_time_ = SumAtMost(at_any_time_, copy.bytes);
      continue;
    }
    whole_.push_back({*copy.end_ns, copy.bytes});
    with_pieces_.push_back({IsInPieces(copy.bytes) ? *copy.begin_ns : *copy.end_ns, copy.bytes});
  }
  SumUp(whole_);
  SumUp(with_pieces_);
}

bool CopySources::IsInPieces(std::uint64_t bytes) const {
  return !limits_.has_value() || (limits_->piece_bytes != 0 && bytes > limits_->piece_bytes);
}

std::uint64_t CopySources::FirstPiece(std::uint64_t bytes) const {
  if (!IsInPieces(bytes)) return bytes;
  const std::uint64_t least = bytes / kPiecesMost + (bytes % kPiecesMost != 0 ? 1 : 0);
  return limits_.has_value() ? std::max(limits_->piece_bytes, least) : least;
}

// From the bytes of each moment to sums.
void CopySources::SumUp(std::vector<Arrival>& arrivals) {
  std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) { return a.time_ns < b.time_ns; });
  std::uint64_t sum = 0;
  for (Arrival& arrival : arrivals) arrival.sum = sum = SumAtMost(sum, arrival.sum);
}

std::uint64_t CopySources::ArrivedBy(std::int64_t time_ns, const std::vector<Arrival>& arrivals) const {
  const bool is_last = time_ns > std::numeric_limits<std::int64_t>::max() - slack_ns_;
  const std::int64_t latest = is_last ? std::numeric_limits<std::int64_t>::max() : time_ns + slack_ns_;
  const auto after = std::upper_bound(arrivals.begin(), arrivals.end(), latest,
                                      [](std::int64_t time, const Arrival& arrival) { return time < arrival.time_ns; });
  return SumAtMost(at_any_time_, after == arrivals.begin() ? 0 : std::prev(after)->sum);
}

CopySources::Missing CopySources::Check(const CopyIn& copy) const {
  if (ArrivedBy(copy.begin_ns, with_pieces_) < FirstPiece(copy.bytes)) return Missing::kAtBegin;
  return ArrivedBy(copy.end_ns, whole_) < copy.bytes ? Missing::kAtEnd : Missing::kNothing;
}

}  // namespace tierlib::trace
