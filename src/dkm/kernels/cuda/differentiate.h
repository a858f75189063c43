// DKM's iterations on CUDA devices, backward: Collect and Differentiate, over all weights or over distinct values.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_DIFFERENTIATE_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_DIFFERENTIATE_H_

#include <cstdint>

#include "dkm/kernels/cuda/summing_pass.h"

namespace tierlib::dkm::cuda {

// From adjoints of C_t (P_t) to u_t: dL/ds and dL/dm of iteration t.
template <typename T>
TIERLIB_HOST_DEVICE inline void PrepareIteration(const Path<T>& path, const TileWorkspace<T>& work, int t, int thread) {
  for (std::int64_t i = thread; i < path.values(); i += kTileThreads) {
    const T mass = path.masses(t)[i / path.shape.dim];
    work.adjoint[i] /= static_cast<double>(mass) + kMassFloor;
    work.u[i] = mass == T{0} ? T{0} : static_cast<T>(work.adjoint[i]);  // 1 / kMassFloor may be beyond float32
  }
}

// P_T = sum_i n_i A_ij gradient_i with the output's attention. Reference: Collect and Backward in host/tiled.cc.
template <typename T>
struct Collect : SummingPass<Collect<T>, T> {
  using Shared = TileShared<T>;
  using Place = typename TilePass<T>::Place;
  static constexpr int kRoundPhases = TilePass<T>::kAttentionPhases + 1;

  Path<T> path;
  const T* gradient = nullptr;  // [rows][dim]

  TIERLIB_HOST_DEVICE int OutputCount() const { return static_cast<int>(path.values()); }
  TIERLIB_HOST_DEVICE bool Skipped() const { return false; }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Place p = this->PlaceOf(round, block, thread);
    if constexpr (kPhase < TilePass<T>::kAttentionPhases) {
      this->template MakeAttention<kPhase>(p, thread, path.attended(), shared);
    } else {
      this->AddTile(p, block, thread, shared);
    }
  }

  TIERLIB_HOST_DEVICE T Sum(const Shared& shared, const Place& p, int output, int row, T sum) const {
    const int d = this->shape.dim;
    const T attention = this->AttentionOf(shared, p, output / d, row, /*times=*/true);
    return Fma(attention, gradient[(p.first + row) * d + output % d], sum);
  }

  TIERLIB_HOST_DEVICE void Update(int thread) const {
    for (std::int64_t i = thread; i < path.values(); i += kTileThreads) {
      this->work.adjoint[i] = this->work.sums[i];
    }
    PrepareIteration(path, this->work, path.iterations_run(), thread);
  }
  TIERLIB_HOST_DEVICE void Conclude() const {}
};

// What one attention is differentiated for, and what becomes of the sums.
enum class Way {
  kIteration,  // of iteration t: from P_t to P_(t-1)
  kOutput,     // of the output, taken against C_T: to P_T
  kDirect,     // of the output, of which the iterations go on without it: to `direct`
};

// The way back through one attention. Reference: Differentiate in host/tile_pass.cc, IterateBack in host/tiled.cc.
template <typename T>
struct Differentiate : SummingPass<Differentiate<T>, T> {
  using Shared = TileShared<T>;
  using Place = typename TilePass<T>::Place;
  static constexpr int kRoundPhases = TilePass<T>::kAttentionPhases + 4;

  Path<T> path;
  Way way = Way::kIteration;
  int t = 0;                         // of kIteration
  const T* gradient = nullptr;       // G [rows][dim]; of kIteration: where the last attention makes the output
  bool gradient_is_one = false;      // instead of `gradient`
  bool collects = false;             // adds sum_i n_i A_ij G_i
  bool with_direct = false;          // the last iteration adds work.direct
  bool overwrites = false;           // weight_gradient holds nothing before the last iteration
  T* weight_gradient = nullptr;      // [rows][dim]
  double* start_gradient = nullptr;  // [k][d], of t == 1; null: not wanted

  // Of kIteration: from the last iteration to the first.
  TIERLIB_HOST_DEVICE bool SetStep(int step) {
    t = this->shape.iterations - step;
    return t >= 1;
  }
  TIERLIB_HOST_DEVICE bool IsLast() const { return way != Way::kIteration || t == path.iterations_run(); }
  TIERLIB_HOST_DEVICE int OutputCount() const { return static_cast<int>(path.values()); }
  TIERLIB_HOST_DEVICE bool Skipped() const { return way == Way::kIteration && t > path.iterations_run(); }
  TIERLIB_HOST_DEVICE const T* Centroids() const {
    return way == Way::kIteration ? path.centroids(t - 1) : path.attended();
  }
  TIERLIB_HOST_DEVICE const T* Targets() const {
    return path.centroids(way == Way::kIteration ? t : this->shape.iterations);
  }
  TIERLIB_HOST_DEVICE T U(int i) const { return way == Way::kIteration ? this->work.u[i] : T{0}; }
  // G of a component.
  TIERLIB_HOST_DEVICE T Gradient(bool is_last, std::int64_t i) const {
    if (!is_last) return T{0};
    return gradient_is_one ? T{1} : (gradient == nullptr ? T{0} : gradient[i]);
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    constexpr int kFirst = TilePass<T>::kAttentionPhases;
    const Place p = this->PlaceOf(round, block, thread);
    if constexpr (kPhase < kFirst) {
      this->template MakeAttention<kPhase>(p, thread, Centroids(), shared);
    } else if constexpr (kPhase == kFirst) {
      AdjointsOfAttention(p, thread, shared);
    } else if constexpr (kPhase == kFirst + 1) {
      AdjointsOfDistances(p, shared);
    } else if constexpr (kPhase == kFirst + 2) {
      WriteWeightGradient(p, thread, shared);
    } else {
      this->AddTile(p, block, thread, shared);
    }
  }

  // e becomes attention, h the adjoint a_ij.
  TIERLIB_HOST_DEVICE void AdjointsOfAttention(const Place& p, int thread, Shared* shared) const {
    const int d = this->shape.dim;
    const T* const targets = Targets();
    const bool is_last = IsLast();
    const bool floored = this->shape.attention_floor != 0;
    T mean = 0;
    for (int j = p.lane; j < this->shape.clusters; j += p.lanes) {
      const int at = j * p.height + p.row;
      T a = 0;
      if (p.has_row()) {
        const T* const x = this->RowAt(p, p.row);
        for (int c = 0; c < d; ++c) {
          const T g = Gradient(is_last, (p.first + p.row) * d + c);
          if (floored) {  // the sum over j is not fixed: nothing may be added alike to all
            a = Fma(U(j * d + c), x[c] - targets[j * d + c], a);
            a = Fma(g, targets[j * d + c], a);
          } else {
            a = Fma(U(j * d + c) - g, x[c] - targets[j * d + c], a);
          }
        }
      }
      const T attention = shared->e[at] * shared->inverse[p.row];
      if (floored && attention < static_cast<T>(this->shape.attention_floor)) a = 0;
      shared->e[at] = attention;
      shared->h[at] = a;
      mean = Fma(attention, a, mean);
    }
    shared->nearest[thread] = mean;
  }

  // h becomes h_ij.
  TIERLIB_HOST_DEVICE void AdjointsOfDistances(const Place& p, Shared* shared) const {
    const bool euclidean = this->shape.metric == Metric::kEuclidean;
    const T factor = static_cast<T>((euclidean ? 1.0 : 2.0) / this->shape.tau);
    T mean = 0;
    for (int lane = 0; lane < p.lanes; ++lane) mean += shared->nearest[p.row + lane * p.height];
    const T scaled_mean = mean * factor;
    for (int j = p.lane; j < this->shape.clusters; j += p.lanes) {
      const int at = j * p.height + p.row;
      T h = shared->e[at] * Fma(shared->h[at], factor, -scaled_mean);
      if (euclidean && p.has_row()) {
        const T distance = Distance(this->shape, this->RowAt(p, p.row), Centroids() + j * this->shape.dim);
        h = distance == T{0} ? T{0} : h / distance;
      }
      shared->h[at] = h;
      if (this->shape.attention_floor != 0) shared->e[at] = this->Raised(shared->e[at]);
    }
  }

  TIERLIB_HOST_DEVICE void WriteWeightGradient(const Place& p, int thread, Shared* shared) const {
    const int d = this->shape.dim;
    const T* const centroids = Centroids();
    const bool adds = way == Way::kIteration && !(overwrites && IsLast());
    for (int i = thread; i < p.valid * d; i += kTileThreads) {
      const int row = i / d;
      const int c = i % d;
      const T x = this->RowAt(p, row)[c];
      T sum = 0;
      for (int j = 0; j < this->shape.clusters; ++j) {
        sum = Fma(shared->e[j * p.height + row], U(j * d + c), sum);
        sum = Fma(-shared->h[j * p.height + row], x - centroids[j * d + c], sum);
      }
      T* const to = weight_gradient + p.first * d + i;
      *to = adds ? sum + *to : sum;
    }
  }

  TIERLIB_HOST_DEVICE T Sum(const Shared& shared, const Place& p, int output, int row, T sum) const {
    const int d = this->shape.dim;
    const int at = output / d * p.height + row;
    const T x = this->RowAt(p, row)[output % d];
    sum = Fma(shared.h[at] * shared.times[row], x - Centroids()[output], sum);
    if (!collects) return sum;
    return Fma(shared.e[at], Gradient(IsLast(), (p.first + row) * d + output % d) * shared.times[row], sum);
  }

  TIERLIB_HOST_DEVICE void Update(int thread) const {
    double* const adjoint = this->work.adjoint;
    for (std::int64_t i = thread; i < path.values(); i += kTileThreads) {
      const double sum = this->work.sums[i];
      if (way == Way::kDirect) {
        this->work.direct[i] = sum;
      } else if (way == Way::kOutput) {
        adjoint[i] = sum;
      } else {
        adjoint[i] = sum + kMassFloor * adjoint[i] + (with_direct && IsLast() ? this->work.direct[i] : 0.0);
        if (t == 1 && start_gradient != nullptr) start_gradient[i] = adjoint[i];
      }
    }
    if (way == Way::kOutput) PrepareIteration(path, this->work, path.iterations_run(), thread);
    if (way == Way::kIteration && t > 1) PrepareIteration(path, this->work, t - 1, thread);
  }
  TIERLIB_HOST_DEVICE void Conclude() const {}
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_DIFFERENTIATE_H_
