#include "allocator/cuda/piece_map.h"

#include <iterator>

#include "base/check.h"

namespace tierlib {

std::optional<std::uint64_t> PieceMap::FindGap(std::uint64_t bytes) const {
  std::uint64_t end = 0;  // of the pieces passed so far
  for (const auto& [offset, piece] : pieces_) {
    if (offset - end >= bytes) return end;
    end = offset + piece.bytes;
  }
  if (extent_ - end >= bytes) return end;
  return std::nullopt;
}

bool PieceMap::IsFree(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > extent_ || bytes > extent_ - offset) return false;
  const auto next = pieces_.lower_bound(offset);
  if (next != pieces_.end() && next->first - offset < bytes) return false;
  return next == pieces_.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= offset;
}

void PieceMap::Take(std::uint64_t offset, std::uint64_t bytes, std::uint64_t handle) {
  TIERLIB_CHECK(bytes > 0 && bytes <= extent_ && offset <= extent_ - bytes, "a piece lies outside its range");
  const auto [piece, inserted] = pieces_.emplace(offset, Piece{bytes, handle});
  TIERLIB_CHECK(inserted, "two pieces start at one offset");
  const auto next = std::next(piece);
  TIERLIB_CHECK(next == pieces_.end() || offset + bytes <= next->first, "a piece overlaps the next one");
  TIERLIB_CHECK(piece == pieces_.begin() || std::prev(piece)->first + std::prev(piece)->second.bytes <= offset,
                "a piece overlaps the one before");
  taken_ += bytes;
}

std::optional<std::uint64_t> PieceMap::Remove(std::uint64_t offset, std::uint64_t bytes) {
  const auto piece = pieces_.find(offset);
  if (piece == pieces_.end() || piece->second.bytes != bytes) return std::nullopt;
  const std::uint64_t handle = piece->second.handle;
  taken_ -= bytes;
  pieces_.erase(piece);
  return handle;
}

}  // namespace tierlib
