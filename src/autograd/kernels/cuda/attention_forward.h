// Attention forward: a block has one tile of queries and walks the keys that they see, with a running maximum and sum
// of each row (Dao et al., arXiv 2205.14135, algorithm 1). Of the scores only a tile is ever there.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_FORWARD_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_FORWARD_H_

#include <math.h>

#include <cstdint>

#include "autograd/kernels/cuda/attention_tiles.h"

namespace tierlib::autograd::cuda {

template <class Format, int kTileRows>
struct AttentionForwardKernel : AttentionTiles<Format, kTileRows> {
  using Base = AttentionTiles<Format, kTileRows>;
  using Base::kPerRow;
  using Base::kThreads;
  using Base::kTile;
  using typename Base::Bits;
  using typename Base::Shared;
  using typename Base::T;
  static constexpr int kStartPhases = 1;
  static constexpr int kRoundPhases = 5;
  static constexpr int kFinishPhases = 1;

  host::AttentionForwardArguments a;

  struct Memory {
    TileView<Bits> q, k, v;
    TileView<T> scores;
    TileView<Bits> probabilities;
    TileView<T> out;
    T* most;       // [kTile]: of the scores so far
    T* sums;       // [kTile]: of exp(score - most)
    T* part_most;  // [kThreads]
    T* part_sums;  // [kThreads]
    int bytes;

    TIERLIB_HOST_DEVICE Memory(const Base& tiles, unsigned char* shared) {
      SharedCarver carver(shared);
      q = tiles.TakeRows(carver);
      k = tiles.TakeRows(carver);
      v = tiles.TakeRows(carver);
      scores = Base::TakeScores(carver);
      probabilities = Base::TakeMap(carver);
      out = tiles.TakeSums(carver);
      most = carver.Take<T>(kTile);
      sums = carver.Take<T>(kTile);
      part_most = carver.Take<T>(kThreads);
      part_sums = carver.Take<T>(kThreads);
      bytes = carver.bytes();
    }
    // What the row's maximum is with this tile.
    TIERLIB_HOST_DEVICE T NewMost(int row) const {
      T all = most[row];
      for (int i = 0; i < kPerRow; ++i) {
        const T part = part_most[row * kPerRow + i];
        all = part > all ? part : all;
      }
      return all;
    }
  };

  // The longest rows first, so that none is left over at the end.
  TIERLIB_HOST_DEVICE std::int64_t TileOf(int block) const { return this->Tiles() - 1 - block / this->Heads(); }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return TileOf(block) + 1; }
  int Blocks() const { return static_cast<int>(this->Heads() * this->Tiles()); }
  int SharedBytes() const { return Memory(*this, nullptr).bytes; }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared);
    this->Load(a.q, this->HeadOf(block), TileOf(block) * kTile, m.q, thread);
    this->Clear(m.out, thread);
    for (int row = thread; row < kTile; row += kThreads) {
      m.most[row] = static_cast<T>(-HUGE_VAL);
      m.sums[row] = 0;
    }
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Memory m(*this, shared);
    const std::int64_t head = this->HeadOf(block);
    const std::int64_t key = round * kTile;
    const int row = thread / kPerRow;
    const std::int64_t query = TileOf(block) * kTile + row;
    const T scale = static_cast<T>(a.shape.scale);
    if constexpr (kPhase == 0) {
      this->Load(a.k, head, key, m.k, thread);
      this->Load(a.v, head, key, m.v, thread);
    } else if constexpr (kPhase == 1) {
      MultiplyTile<Format, false, true>({kTile, kTile, this->Depth()}, m.q, m.k, m.scores, false, thread, kThreads);
    } else if constexpr (kPhase == 2) {
      T most = static_cast<T>(-HUGE_VAL);
      this->ForEachColumn(head, query, key, thread, [&](int column, bool visible, T) {
        const T score = m.scores.data[row * m.scores.stride + column] * scale;
        if (visible && score > most) most = score;
      });
      m.part_most[thread] = most;
    } else if constexpr (kPhase == 3) {
      const T most = m.NewMost(row);
      const T fade = Fade(m, row, most);
      T sum = 0;
      this->ForEachColumn(head, query, key, thread, [&](int column, bool visible, T factor) {
        const T score = m.scores.data[row * m.scores.stride + column] * scale;
        const T p = visible ? Exp(score - most) : T{0};
        sum += p;
        m.probabilities.data[row * m.probabilities.stride + column] = Format::Store(p * factor);
      });
      m.part_sums[thread] = sum;
      for (int d = thread % kPerRow; d < this->Depth(); d += kPerRow) m.out.data[row * m.out.stride + d] *= fade;
    } else {
      if (thread % kPerRow == 0) {
        const T most = m.NewMost(row);
        T sum = m.sums[row] * Fade(m, row, most);
        for (int i = 0; i < kPerRow; ++i) sum += m.part_sums[thread + i];
        m.sums[row] = sum;
        m.most[row] = most;
      }
      MultiplyTile<Format, false, false>({kTile, this->Depth(), kTile}, m.probabilities, m.v, m.out, true, thread,
                                         kThreads);
    }
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared);
    const std::int64_t head = this->HeadOf(block);
    const std::int64_t first = TileOf(block) * kTile;
    this->Store(m.out, a.out, head, first, thread, [&](int row) { return 1 / m.sums[row]; });
    for (int row = thread; row < kTile && first + row < a.shape.length; row += kThreads) {
      static_cast<T*>(a.log_sum_exp)[head * a.shape.length + first + row] = m.most[row] + Log(m.sums[row]);
    }
  }

 private:
  // What sums so far are multiplied with; rows beyond the last one, and NaN, have no maximum.
  TIERLIB_HOST_DEVICE static T Fade(const Memory& m, int row, T most) {
    return m.most[row] == most ? T{1} : Exp(m.most[row] - most);
  }
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_FORWARD_H_
