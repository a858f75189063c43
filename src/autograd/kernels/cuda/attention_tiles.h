// What the attention kernels have in common: which head and rows a block has, tiles in shared memory, and the loads and
// stores between them and the tensors.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_TILES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_TILES_H_

#include <cstdint>

#include "autograd/kernels/attention.h"
#include "autograd/kernels/cuda/dropout_launches.h"
#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/tile_product.h"

namespace tierlib::autograd::cuda {

// Hands out shared memory in bytes, from null to count them.
class SharedCarver {
 public:
  TIERLIB_HOST_DEVICE explicit SharedCarver(unsigned char* begin) : begin_(begin) {}
  template <typename Element>
  TIERLIB_HOST_DEVICE Element* Take(int elements) {
    Element* const taken = begin_ == nullptr ? nullptr : reinterpret_cast<Element*>(begin_ + bytes_);
    bytes_ += (elements * static_cast<int>(sizeof(Element)) + 127) / 128 * 128;
    return taken;
  }
  TIERLIB_HOST_DEVICE int bytes() const { return bytes_; }

 private:
  unsigned char* begin_;
  int bytes_ = 0;
};

// A kernel whose blocks take kTile queries, or kTile keys, of one head. kTile is a multiple of kTileUnit.
template <class Format, int kTileRows>
struct AttentionTiles {
  using Bits = typename Format::Bits;
  using T = typename Format::Compute;
  using Shared = unsigned char;
  static constexpr int kTile = kTileRows;
  static constexpr int kThreads = 256;
  static constexpr int kPerRow = kThreads / kTile;                  // threads of a row of scores
  static constexpr int kColumns = kTile / kPerRow;                  // that each of them has, side by side
  static constexpr int kPad = 16 / static_cast<int>(sizeof(Bits));  // rows begin in other banks

  host::AttentionShape shape;
  Mask mask;

  void SetShape(const host::AttentionShape& s) {
    shape = s;
    mask = Mask::Of(s.dropout, s.seed, s.counter);
  }

  TIERLIB_HOST_DEVICE int Depth() const {
    return (static_cast<int>(shape.head_size) + kTileUnit - 1) / kTileUnit * kTileUnit;
  }
  TIERLIB_HOST_DEVICE std::int64_t Tiles() const { return (shape.length + kTile - 1) / kTile; }
  TIERLIB_HOST_DEVICE std::int64_t Heads() const { return shape.batch * shape.heads; }
  TIERLIB_HOST_DEVICE std::int64_t HeadOf(int block) const { return block % Heads(); }

  // [kTile][Depth()] of stored elements, and of sums; [kTile][kTile] of either.
  TIERLIB_HOST_DEVICE TileView<Bits> TakeRows(SharedCarver& carver) const {
    return {carver.Take<Bits>(kTile * (Depth() + kPad)), Depth() + kPad};
  }
  TIERLIB_HOST_DEVICE TileView<T> TakeSums(SharedCarver& carver) const {
    return {carver.Take<T>(kTile * (Depth() + 4)), Depth() + 4};
  }
  TIERLIB_HOST_DEVICE static TileView<Bits> TakeMap(SharedCarver& carver) {
    return {carver.Take<Bits>(kTile * (kTile + kPad)), kTile + kPad};
  }
  TIERLIB_HOST_DEVICE static TileView<T> TakeScores(SharedCarver& carver) {
    return {carver.Take<T>(kTile * (kTile + 4)), kTile + 4};
  }

  template <class Tensor>
  TIERLIB_HOST_DEVICE std::int64_t Offset(const Tensor& x, std::int64_t head, std::int64_t row) const {
    return head / shape.heads * x.batch_stride + head % shape.heads * x.head_stride + row * x.row_stride;
  }

  // Rows [first, first + kTile) of a head, with zeros for rows and columns that are not there.
  TIERLIB_HOST_DEVICE void Load(const host::AttentionSource& x, std::int64_t head, std::int64_t first,
                                const TileView<Bits>& tile, int thread) const {
    const int depth = Depth();
    const Bits* const from = static_cast<const Bits*>(x.data) + Offset(x, head, first);
    constexpr int kPack = kPad;
    const bool packs =
        reinterpret_cast<std::uintptr_t>(from) % 16 == 0 && x.row_stride % kPack == 0 && shape.head_size % kPack == 0;
    if (packs) {
      const int across = depth / kPack;
      for (int i = thread; i < kTile * across; i += kThreads) {
        const int row = i / across;
        const int column = i % across * kPack;
        Pack<Bits, kPack> pack{};
        if (first + row < shape.length && column < shape.head_size) {
          pack = *reinterpret_cast<const Pack<Bits, kPack>*>(from + row * x.row_stride + column);
        }
        *reinterpret_cast<Pack<Bits, kPack>*>(tile.data + row * tile.stride + column) = pack;
      }
      return;
    }
    for (int i = thread; i < kTile * depth; i += kThreads) {
      const int row = i / depth;
      const int column = i % depth;
      const bool there = first + row < shape.length && column < shape.head_size;
      tile.data[row * tile.stride + column] = there ? from[row * x.row_stride + column] : Format::Store(T{0});
    }
  }

  TIERLIB_HOST_DEVICE void Clear(const TileView<T>& tile, int thread) const {
    for (int i = thread; i < kTile * tile.stride; i += kThreads) tile.data[i] = 0;
  }

  // Rows of sums that are there, each times factor(row).
  template <class Factor>
  TIERLIB_HOST_DEVICE void Store(const TileView<T>& tile, const host::AttentionTarget& y, std::int64_t head,
                                 std::int64_t first, int thread, const Factor& factor) const {
    const int size = static_cast<int>(shape.head_size);
    Bits* const to = static_cast<Bits*>(y.data) + Offset(y, head, first);
    for (int i = thread; i < kTile * size; i += kThreads) {
      const int row = i / size;
      const int column = i % size;
      if (first + row >= shape.length) return;
      to[row * y.row_stride + column] = Format::Store(tile.data[row * tile.stride + column] * factor(row));
    }
  }

  // Calls body(column, visible, factor) for the thread's part of a row of scores: `visible` where key `key + column` is
  // there and not after the query; `factor` is dropout's.
  template <class Body>
  TIERLIB_HOST_DEVICE void ForEachColumn(std::int64_t head, std::int64_t query, std::int64_t key, int thread,
                                         const Body& body) const {
    const bool there = query < shape.length;
    const std::uint64_t first =
        static_cast<std::uint64_t>(head * shape.length + query) * static_cast<std::uint64_t>(shape.length) +
        static_cast<std::uint64_t>(key);
    const T kept = static_cast<T>(mask.kept);
    std::uint64_t drawn = ~std::uint64_t{0};
    unsigned keeps = 0;
    for (int i = 0; i < kColumns; ++i) {
      const int column = thread % kPerRow * kColumns + i;
      const bool visible = there && key + column <= query && key + column < shape.length;
      T factor = 1;
      if (shape.dropout > 0 && visible) {
        const std::uint64_t element = first + static_cast<std::uint64_t>(column);
        if (element / 4 != drawn) {
          drawn = element / 4;
          keeps = mask.Keeps(drawn);
        }
        factor = (keeps >> (element % 4) & 1) != 0 ? kept : T{0};
      }
      body(column, visible, factor);
    }
  }
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_TILES_H_
