// DKM's iterations on CUDA devices, forward: Accumulate, what begins and ends them, and Attend, which makes W~. Over
// all weights they are the tiled form, over distinct values that count several times the table domain
// (dkm/kernels/table.h).
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_ACCUMULATE_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_ACCUMULATE_H_

#include <cstdint>

#include "dkm/kernels/cuda/summing_pass.h"

namespace tierlib::dkm::cuda {

// Iteration `t` (0 is the first): C_(t+1) and s_(t+1) from C_t. Reference: Iterate in host/tiled.cc.
template <typename T>
struct Accumulate : SummingPass<Accumulate<T>, T> {
  using Shared = TileShared<T>;
  using Place = typename TilePass<T>::Place;
  static constexpr int kRoundPhases = TilePass<T>::kAttentionPhases + 1;

  Path<T> path;
  int t = 0;

  TIERLIB_HOST_DEVICE bool SetStep(int step) {
    t = step;
    return t < this->shape.iterations;
  }
  TIERLIB_HOST_DEVICE int OutputCount() const { return this->shape.clusters * (this->shape.dim + 1); }
  TIERLIB_HOST_DEVICE bool Skipped() const { return this->work.state->settled != 0; }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Place p = this->PlaceOf(round, block, thread);
    if constexpr (kPhase < TilePass<T>::kAttentionPhases) {
      this->template MakeAttention<kPhase>(p, thread, path.centroids(t), shared);
    } else {
      this->AddTile(p, block, thread, shared);
    }
  }

  // Masses, then moments.
  TIERLIB_HOST_DEVICE T Sum(const Shared& shared, const Place& p, int output, int row, T sum) const {
    const int k = this->shape.clusters;
    const bool is_mass = output < k;
    const int i = is_mass ? output * this->shape.dim : output - k;  // in [k][d]
    const int j = i / this->shape.dim;
    const T attention = this->AttentionOf(shared, p, j, row, /*times=*/true);
    if (is_mass) return sum + attention;
    return Fma(attention, this->RowAt(p, row)[i % this->shape.dim] - path.centroids(t)[i], sum);
  }

  TIERLIB_HOST_DEVICE void Update(int thread) const {
    const int k = this->shape.clusters;
    const double* const sums = this->work.sums;
    for (std::int64_t i = thread; i < path.values(); i += kTileThreads) {
      const double mass = sums[i / this->shape.dim];
      const double from = static_cast<double>(path.centroids(t)[i]);
      path.centroids(t + 1)[i] = static_cast<T>(from + sums[k + i] / (mass + kMassFloor));
      if (i % this->shape.dim == 0) path.masses(t + 1)[i / this->shape.dim] = static_cast<T>(mass);
    }
  }

  TIERLIB_HOST_DEVICE void Conclude() const {
    this->work.state->run = t + 1;
    if (this->shape.epsilon > 0 && Settled()) this->work.state->settled = 1;
  }

  // Whether no centroid moved further than epsilon; false where one is NaN.
  TIERLIB_HOST_DEVICE bool Settled() const {
    for (int j = 0; j < this->shape.clusters; ++j) {
      double moved = 0;
      for (int i = j * this->shape.dim; i < (j + 1) * this->shape.dim; ++i) {
        const double by = static_cast<double>(path.centroids(t + 1)[i]) - static_cast<double>(path.centroids(t)[i]);
        moved = this->shape.dim == 1 ? ::fabs(by) : ::hypot(moved, by);
      }
      if (!(moved <= this->shape.epsilon)) return false;
    }
    return true;
  }
};

// Makes C_0 of `start`, f32 [k][d].
template <typename T>
struct BeginPath : PlainKernel {
  Path<T> path;
  const float* start = nullptr;
  int blocks = 1;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    for (std::int64_t i = block * kThreads + thread; i < path.values(); i += std::int64_t{blocks} * kThreads) {
      path.centroids(0)[i] = static_cast<T>(start[i]);
    }
  }
};

// Fills what iterations that did not run leave open, rounds C_T to `table` where that is wanted, and tells `newest` and
// the host. One block.
template <typename T>
struct EndPath {
  struct Shared {
    float largest[kTileThreads];
    float scale;
  };
  static constexpr int kThreads = kTileThreads;
  static constexpr int kStartPhases = 3;
  static constexpr int kRoundPhases = 0;
  static constexpr int kFinishPhases = 0;

  Path<T> path;
  const PassState* state = nullptr;
  bool rounds = false;
  DType table = DType::kF32;
  float* newest = nullptr;
  std::int32_t* iterations_run = nullptr;  // memory that the host sees; null: not wanted
  bool tells_most = false;                 // iterations_run is raised, not written

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int) const { return 0; }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t, int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared* shared) const {
    const int run = state->run;
    const int total = path.shape.iterations;
    const T* const last = path.centroids(run);
    if constexpr (kPhase == 0) {
      for (int t = run + 1; t < total; ++t) {  // C_T comes in the last phase
        for (std::int64_t i = thread; i < path.values(); i += kThreads) path.centroids(t)[i] = last[i];
      }
      for (int t = run + 1; t <= total; ++t) {
        for (int j = thread; j < path.shape.clusters; j += kThreads) path.masses(t)[j] = 0;
      }
      float largest = 0;
      for (std::int64_t i = thread; i < path.values(); i += kThreads) {
        const float magnitude = ::fabsf(Single(last[i]));
        if (magnitude > largest) largest = magnitude;
      }
      shared->largest[thread] = largest;
    } else if constexpr (kPhase == 1) {
      if (thread != 0) return;
      float largest = 0;
      for (int i = 0; i < kThreads; ++i) largest = shared->largest[i] > largest ? shared->largest[i] : largest;
      shared->scale = largest / 127;
      *path.run() = static_cast<T>(run);
      if (iterations_run != nullptr && !(tells_most && *iterations_run > run)) *iterations_run = run;
    } else {
      for (std::int64_t i = thread; i < path.values(); i += kThreads) {
        T value = last[i];
        if (rounds) value = static_cast<T>(RoundedTo(table, Single(value), shared->scale));
        path.centroids(total)[i] = value;
        newest[i] = static_cast<float>(value);
      }
    }
  }
};

// output[i] = W~ of row i. Reference: Attend in host/tile_pass.cc.
template <typename T>
struct Attend : TilePass<T> {
  using Shared = TileShared<T>;
  using Place = typename TilePass<T>::Place;
  static constexpr int kStartPhases = 0;
  static constexpr int kRoundPhases = TilePass<T>::kAttentionPhases + 1;
  static constexpr int kFinishPhases = 0;

  Path<T> path;
  T* output = nullptr;

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return this->TilesOf(block); }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Place p = this->PlaceOf(round, block, thread);
    if constexpr (kPhase < TilePass<T>::kAttentionPhases) {
      this->template MakeAttention<kPhase>(p, thread, path.attended(), shared);
    } else {
      const int d = this->shape.dim;
      const T* const values = path.centroids(this->shape.iterations);
      for (int i = thread; i < p.valid * d; i += kTileThreads) {
        T sum = 0;
        for (int j = 0; j < this->shape.clusters; ++j) {
          sum = Fma(this->AttentionOf(*shared, p, j, i / d, /*times=*/false), values[j * d + i % d], sum);
        }
        output[p.first * d + i] = sum;
      }
    }
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_ACCUMULATE_H_
