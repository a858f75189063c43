#include "allocator/piece_list.h"

#include <algorithm>

namespace tierlib {

void PieceList::PrepareAppend() {
  if (pieces_.size() == pieces_.capacity()) pieces_.reserve(2 * pieces_.size() + 8);
}

void PieceList::Append(std::size_t bytes, std::size_t locked) {
  pieces_.push_back(Piece{grown(), bytes, locked, false});
  locked_ += locked;
}

void PieceList::RemoveLast() {
  const Piece& last = pieces_.back();
  locked_ -= last.locked;
  absent_ -= last.absent ? last.bytes : 0;
  pieces_.pop_back();
}

void PieceList::MarkAbsent(const Piece& piece) {
  Piece& own = pieces_[static_cast<std::size_t>(&piece - pieces_.data())];
  locked_ -= own.locked;
  absent_ += own.bytes;
  own.locked = 0;
  own.absent = true;
}

void PieceList::MarkPresent(const Piece& piece, std::size_t locked) {
  Piece& own = pieces_[static_cast<std::size_t>(&piece - pieces_.data())];
  locked_ += locked;
  absent_ -= own.bytes;
  own.locked = locked;
  own.absent = false;
}

absl::Span<const PieceList::Piece> PieceList::Within(std::size_t offset, std::size_t bytes) const {
  auto begin = std::partition_point(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.offset < offset; });
  auto end = std::partition_point(begin, pieces_.end(), [&](const Piece& p) { return p.end() <= offset + bytes; });
  while (begin != end && begin->offset % unit_ != 0) ++begin;
  while (begin != end && (end - 1)->end() % unit_ != 0 && end != pieces_.end()) --end;
  return absl::MakeSpan(pieces_.data() + (begin - pieces_.begin()), static_cast<std::size_t>(end - begin));
}

absl::Span<const PieceList::Piece> PieceList::Overlapping(std::size_t offset, std::size_t bytes) const {
  const auto begin =
      std::partition_point(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.end() <= offset; });
  const auto end =
      std::partition_point(begin, pieces_.end(), [&](const Piece& p) { return p.offset < offset + bytes; });
  return absl::MakeSpan(pieces_.data() + (begin - pieces_.begin()), static_cast<std::size_t>(end - begin));
}

std::size_t PieceList::AbsentIn(std::size_t offset, std::size_t bytes) const {
  if (absent_ == 0) return 0;
  std::size_t absent = 0;
  for (const Piece& piece : Overlapping(offset, bytes)) {
    if (piece.absent) absent += std::min(piece.end(), offset + bytes) - std::max(piece.offset, offset);
  }
  return absent;
}

std::size_t PieceList::MissingFor(std::size_t offset, std::size_t bytes) const {
  if (absent_ == 0) return 0;
  std::size_t missing = 0;
  for (const Piece& piece : Overlapping(offset, bytes)) missing += piece.absent ? piece.bytes : 0;
  return missing;
}

}  // namespace tierlib
