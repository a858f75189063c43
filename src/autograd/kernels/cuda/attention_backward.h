// Attention backward, from q, k, v, the log-sum-exp of each row, and delta, the product of each row's output and its
// gradient (Dao et al., arXiv 2205.14135, appendix B): with P = exp(scale q k^T - log_sum_exp), D dropout's factors and
// dP = dout v^T
//   dS = scale P (D dP - delta),   dv = (D P)^T dout,   dk = dS^T q,   dq = dS k.
// Two launches: a block of the first has one tile of keys and walks the queries that see them; a block of the second
// has one tile of queries and walks their keys. Each forms P and dS again, so that no sum has two writers: that costs
// two products of seven, and no atomics, whose order would change results from run to run.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_BACKWARD_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_BACKWARD_H_

#include <cstdint>

#include "autograd/kernels/cuda/attention_tiles.h"

namespace tierlib::autograd::cuda {

// What both launches share: tiles of q, k, v and dout, the scores and dP, and from them P and dS.
template <class Format, int kTileRows>
struct AttentionBackwardTiles : AttentionTiles<Format, kTileRows> {
  using Base = AttentionTiles<Format, kTileRows>;
  using Base::kPerRow;
  using Base::kThreads;
  using Base::kTile;
  using typename Base::Bits;
  using typename Base::T;
  static constexpr int kStartPhases = 1;
  static constexpr int kRoundPhases = 4;
  static constexpr int kFinishPhases = 1;

  host::AttentionBackwardArguments a;
  const T* delta = nullptr;  // [B, H, T]

  struct Memory {
    TileView<Bits> q, k, v, dout;
    TileView<T> scores, dp;
    TileView<Bits> p, ds;  // p with dropout
    TileView<T> sums[2];   // dk and dv, or dq
    int bytes;

    TIERLIB_HOST_DEVICE Memory(const Base& tiles, unsigned char* shared, int sum_count) {
      SharedCarver carver(shared);
      q = tiles.TakeRows(carver);
      k = tiles.TakeRows(carver);
      v = tiles.TakeRows(carver);
      dout = tiles.TakeRows(carver);
      scores = Base::TakeScores(carver);
      dp = Base::TakeScores(carver);
      p = Base::TakeMap(carver);
      ds = Base::TakeMap(carver);
      for (int i = 0; i < sum_count; ++i) sums[i] = tiles.TakeSums(carver);
      bytes = carver.bytes();
    }
  };

  TIERLIB_HOST_DEVICE void LoadQueries(const Memory& m, std::int64_t head, std::int64_t query, int thread) const {
    this->Load(a.q, head, query, m.q, thread);
    this->Load(a.dout, head, query, m.dout, thread);
  }
  TIERLIB_HOST_DEVICE void LoadKeys(const Memory& m, std::int64_t head, std::int64_t key, int thread) const {
    this->Load(a.k, head, key, m.k, thread);
    this->Load(a.v, head, key, m.v, thread);
  }
  TIERLIB_HOST_DEVICE void FormScores(const Memory& m, int thread) const {
    const TileSize size{kTile, kTile, this->Depth()};
    MultiplyTile<Format, false, true>(size, m.q, m.k, m.scores, false, thread, kThreads);
    MultiplyTile<Format, false, true>(size, m.dout, m.v, m.dp, false, thread, kThreads);
  }
  // p and ds of the tile of queries that begins at `first` and the keys from `key` on.
  TIERLIB_HOST_DEVICE void FormGradients(const Memory& m, std::int64_t head, std::int64_t first, std::int64_t key,
                                         int thread) const {
    const int row = thread / kPerRow;
    const std::int64_t query = first + row;
    const bool there = query < a.shape.length;
    const std::int64_t statistic = head * a.shape.length + query;
    const T log_sum_exp = there ? static_cast<const T*>(a.log_sum_exp)[statistic] : T{0};
    const T row_delta = there ? delta[statistic] : T{0};
    const T scale = static_cast<T>(a.shape.scale);
    this->ForEachColumn(head, query, key, thread, [&](int column, bool visible, T factor) {
      const int at = row * m.scores.stride + column;
      const T p = visible ? Exp(m.scores.data[at] * scale - log_sum_exp) : T{0};
      const T ds = visible ? p * (m.dp.data[at] * factor - row_delta) * scale : T{0};
      m.p.data[row * m.p.stride + column] = Format::Store(p * factor);
      m.ds.data[row * m.ds.stride + column] = Format::Store(ds);
    });
  }
};

// dk and dv.
template <class Format, int kTileRows>
struct AttentionKeysKernel : AttentionBackwardTiles<Format, kTileRows> {
  using Base = AttentionBackwardTiles<Format, kTileRows>;
  using Base::kThreads;
  using Base::kTile;
  using typename Base::Memory;
  using typename Base::Shared;
  using typename Base::T;

  // The first tiles of keys are seen by most queries: they go first.
  TIERLIB_HOST_DEVICE std::int64_t TileOf(int block) const { return block / this->Heads(); }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return this->Tiles() - TileOf(block); }
  int Blocks() const { return static_cast<int>(this->Heads() * this->Tiles()); }
  int SharedBytes() const { return Memory(*this, nullptr, 2).bytes; }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 2);
    this->LoadKeys(m, this->HeadOf(block), TileOf(block) * kTile, thread);
    this->Clear(m.sums[0], thread);
    this->Clear(m.sums[1], thread);
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 2);
    const std::int64_t head = this->HeadOf(block);
    const std::int64_t query = (TileOf(block) + round) * kTile;
    if constexpr (kPhase == 0) {
      this->LoadQueries(m, head, query, thread);
    } else if constexpr (kPhase == 1) {
      this->FormScores(m, thread);
    } else if constexpr (kPhase == 2) {
      this->FormGradients(m, head, query, TileOf(block) * kTile, thread);
    } else {
      const TileSize size{kTile, this->Depth(), kTile};
      MultiplyTile<Format, true, false>(size, m.ds, m.q, m.sums[0], true, thread, kThreads);
      MultiplyTile<Format, true, false>(size, m.p, m.dout, m.sums[1], true, thread, kThreads);
    }
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 2);
    const auto one = [](int) { return T{1}; };
    this->Store(m.sums[0], this->a.dk, this->HeadOf(block), TileOf(block) * kTile, thread, one);
    this->Store(m.sums[1], this->a.dv, this->HeadOf(block), TileOf(block) * kTile, thread, one);
  }
};

// dq.
template <class Format, int kTileRows>
struct AttentionQueriesKernel : AttentionBackwardTiles<Format, kTileRows> {
  using Base = AttentionBackwardTiles<Format, kTileRows>;
  using Base::kThreads;
  using Base::kTile;
  using typename Base::Memory;
  using typename Base::Shared;
  using typename Base::T;

  TIERLIB_HOST_DEVICE std::int64_t TileOf(int block) const { return this->Tiles() - 1 - block / this->Heads(); }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return TileOf(block) + 1; }
  int Blocks() const { return static_cast<int>(this->Heads() * this->Tiles()); }
  int SharedBytes() const { return Memory(*this, nullptr, 1).bytes; }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 1);
    this->LoadQueries(m, this->HeadOf(block), TileOf(block) * kTile, thread);
    this->Clear(m.sums[0], thread);
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 1);
    const std::int64_t head = this->HeadOf(block);
    if constexpr (kPhase == 0) {
      this->LoadKeys(m, head, round * kTile, thread);
    } else if constexpr (kPhase == 1) {
      this->FormScores(m, thread);
    } else if constexpr (kPhase == 2) {
      this->FormGradients(m, head, TileOf(block) * kTile, round * kTile, thread);
    } else {
      MultiplyTile<Format, false, false>({kTile, this->Depth(), kTile}, m.ds, m.k, m.sums[0], true, thread, kThreads);
    }
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int block, int thread, Shared* shared) const {
    const Memory m(*this, shared, 1);
    this->Store(m.sums[0], this->a.dq, this->HeadOf(block), TileOf(block) * kTile, thread, [](int) { return T{1}; });
  }
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_BACKWARD_H_
