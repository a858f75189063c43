// PieceList: the parts of a segment as they were grown, one behind the other, and which of them have memory behind
// them. Bookkeeping alone.
//
//   I1  grown() is the sum over the pieces, absent() over those without memory, locked() over those with
//
// Thread-safety: none; the source's callers lock.
#ifndef TIERLIB_SRC_ALLOCATOR_PIECE_LIST_H_
#define TIERLIB_SRC_ALLOCATOR_PIECE_LIST_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace tierlib {

class PieceList {
 public:
  struct Piece {
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::size_t locked = 0;  // of these, from its beginning; 0 where it is absent
    bool absent = false;     // its addresses have no memory behind them
    std::size_t end() const { return offset + bytes; }
  };

  // Ranges to give back begin and end at multiples of `unit`, or at the end of the segment.
  explicit PieceList(std::size_t unit) : unit_(unit) {}

  std::size_t grown() const { return pieces_.empty() ? 0 : pieces_.back().end(); }
  std::size_t absent() const { return absent_; }
  std::size_t locked() const { return locked_; }

  // Makes room for one more, so that the next Append needs no memory: before the piece itself is had.
  void PrepareAppend();
  void Append(std::size_t bytes, std::size_t locked);
  // REQUIRES: there is a piece.
  void RemoveLast();
  void MarkAbsent(const Piece& piece);
  void MarkPresent(const Piece& piece, std::size_t locked);

  // The pieces that may be given back because they lie within [offset, offset + bytes).
  absl::Span<const Piece> Within(std::size_t offset, std::size_t bytes) const;
  // Those that have a byte in it.
  absl::Span<const Piece> Overlapping(std::size_t offset, std::size_t bytes) const;
  // Bytes of [offset, offset + bytes) that have no memory behind them.
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const;
  // The same of those pieces that have a byte in it, as wholes.
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const;

 private:
  const std::size_t unit_;
  std::vector<Piece> pieces_;  // in ascending order of address
  std::size_t absent_ = 0;
  std::size_t locked_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_PIECE_LIST_H_
