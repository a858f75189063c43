// Passes that sum over the rows of all tiles (tile_pass.h): in each block, and then by the block that comes last.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_SUMMING_PASS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_SUMMING_PASS_H_

#include <cstdint>

#include "dkm/kernels/cuda/tile_pass.h"

namespace tierlib::dkm::cuda {

// A pass that sums over rows. Self has OutputCount(); Sum(shared, place, output, row, sum), which adds a row's term;
// Skipped(); and, on the block that came last, Update(thread) with the sums in work.sums, and then Conclude() by one
// thread.
template <typename Self, typename T>
struct SummingPass : TilePass<T> {
  using Shared = TileShared<T>;
  using Place = typename TilePass<T>::Place;
  static constexpr int kStartPhases = 1;
  static constexpr int kFinishPhases = 6;

  TIERLIB_HOST_DEVICE const Self& self() const { return *static_cast<const Self*>(this); }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return self().Skipped() ? 0 : this->TilesOf(block); }
  TIERLIB_HOST_DEVICE double* PartialsOf(int block) const {
    return this->work.partials + std::int64_t{block} * self().OutputCount();
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    const int outputs = self().OutputCount();
    shared->sums[thread] = 0;
    if (ThreadsPerOutput(outputs) > 0 || self().Skipped()) return;
    for (int o = thread; o < outputs; o += kTileThreads) PartialsOf(block)[o] = 0;
  }

  // The last phase of a round.
  TIERLIB_HOST_DEVICE void AddTile(const Place& p, int block, int thread, Shared* shared) const {
    const int outputs = self().OutputCount();
    const int beside = ThreadsPerOutput(outputs);
    if (beside == 0) {
      double* const partials = PartialsOf(block);
      for (int o = thread; o < outputs; o += kTileThreads) {
        T sum = 0;
        for (int row = 0; row < p.valid; ++row) sum = self().Sum(*shared, p, o, row, sum);
        partials[o] += static_cast<double>(sum);
      }
    } else if (thread < beside * outputs) {
      T sum = 0;
      for (int row = thread % beside; row < p.valid; row += beside) {
        sum = self().Sum(*shared, p, thread / beside, row, sum);
      }
      shared->sums[thread] += static_cast<double>(sum);
    }
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int block, int thread, Shared* shared) const {
    const int outputs = self().OutputCount();
    const int beside = ThreadsPerOutput(outputs);
    double* const sums = this->work.sums;
    if constexpr (kPhase == 0) {
      if (self().Skipped()) return;
      if (beside > 0 && thread < outputs) PartialsOf(block)[thread] = SumOf(shared->sums + thread * beside, beside);
      Fence();
    } else if constexpr (kPhase == 1) {
      if (thread != 0) return;
      const bool skipped = self().Skipped();
      shared->last = !skipped && AtomicFetchAdd(&this->work.state->arrived, 1u) + 1 == Blocks();
    } else if (shared->last == 0) {
      return;
    } else if constexpr (kPhase == 2) {
      Fence();
      if (beside == 0) {
        for (int o = thread; o < outputs; o += kTileThreads) sums[o] = SumOverBlocks(o, 0, 1);
      } else if (thread < beside * outputs) {
        shared->sums[thread] = SumOverBlocks(thread / beside, thread % beside, beside);
      }
    } else if constexpr (kPhase == 3) {
      if (beside > 0 && thread < outputs) sums[thread] = SumOf(shared->sums + thread * beside, beside);
    } else if constexpr (kPhase == 4) {
      self().Update(thread);
    } else if (thread == 0) {
      self().Conclude();
      this->work.state->arrived = 0;
    }
  }

 private:
  TIERLIB_HOST_DEVICE std::uint32_t Blocks() const { return static_cast<std::uint32_t>(this->blocks); }
  TIERLIB_HOST_DEVICE double SumOverBlocks(int output, int first, int step) const {
    double sum = 0;
    for (int block = first; block < this->blocks; block += step) sum += LoadFresh(PartialsOf(block) + output);
    return sum;
  }
  TIERLIB_HOST_DEVICE static double SumOf(const double* values, int count) {
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += values[i];
    return sum;
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_SUMMING_PASS_H_
