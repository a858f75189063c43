// PieceMap: which pieces of one address range are taken. Pieces are placed at the lowest gap that holds them, so that
// pieces taken one after the other lie side by side in ascending order.
//
//   I1  pieces do not overlap and lie within [0, extent)
//   I2  taken() is the sum of the pieces' sizes
//
// Thread-safety: callers lock.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_PIECE_MAP_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_PIECE_MAP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace tierlib {

class PieceMap {
 public:
  explicit PieceMap(std::uint64_t extent) : extent_(extent) {}

  // Offset of the lowest gap of `bytes` bytes (not zero), or nothing. Takes nothing.
  std::optional<std::uint64_t> FindGap(std::uint64_t bytes) const;
  bool IsFree(std::uint64_t offset, std::uint64_t bytes) const;
  // Takes a piece that FindGap found or IsFree said is free; `handle` is the caller's. REQUIRES: free.
  void Take(std::uint64_t offset, std::uint64_t bytes, std::uint64_t handle);
  // Gives back the handle of the piece that is exactly [offset, offset + bytes), or nothing where there is none.
  std::optional<std::uint64_t> Remove(std::uint64_t offset, std::uint64_t bytes);

  struct Piece {
    std::uint64_t bytes = 0;
    std::uint64_t handle = 0;
  };
  const std::map<std::uint64_t, Piece>& pieces() const { return pieces_; }  // by offset
  std::uint64_t taken() const { return taken_; }

 private:
  std::uint64_t extent_;
  std::uint64_t taken_ = 0;
  std::map<std::uint64_t, Piece> pieces_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_PIECE_MAP_H_
