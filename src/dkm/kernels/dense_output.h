// What the dense chains end with: W~ from a map of attention, and W~ again from the weights without any map in memory.
//
// Thread-safety: pure functions of their arguments; they allocate nothing.
#ifndef TIERLIB_SRC_DKM_KERNELS_DENSE_OUTPUT_H_
#define TIERLIB_SRC_DKM_KERNELS_DENSE_OUTPUT_H_

#include <cstdint>

#include "allocator/device_backend.h"
#include "dkm/kernels/distance.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm::host {

// output[i][c] = sum_j attention[i][j] centroids[j][c]. Each row is summed by itself and in one order, so that its bits
// do not depend on which rows are there beside it (those of a product by BLAS may).
struct DenseOutputArguments {
  DistanceShape shape;
  const void* attention = nullptr;  // [vectors][clusters]
  const void* centroids = nullptr;  // [clusters][dim]
  void* output = nullptr;           // [vectors][dim]
};
void DenseOutput(KernelContext& context, const DenseOutputArguments& a);

// Runs what the chain ran (dense_chain.cc) on a few weights at a time: the same kernels, and so the same bits.
struct DenseReplayArguments {
  DistanceShape shape;
  bool paper = false;  // whose distance; else the reference's
  Metric metric = Metric::kSquared;
  double tau = 1;
  double attention_floor = 0;           // 0: none
  const void* weights = nullptr;        // [vectors][dim]
  const void* attended = nullptr;       // [clusters][dim]: the centroids that the attention was taken against
  const void* centroids = nullptr;      // [clusters][dim]: C_T
  const void* distance_bias = nullptr;  // [clusters]; null: none
  void* output = nullptr;               // [vectors][dim]
};
void DenseReplay(KernelContext& context, const DenseReplayArguments& a);

// Whether DenseReplay can: not where a vector's distances are more than it takes at a time, nor where the reference's
// sum over the elements of few long vectors is taken in parts.
bool DenseReplays(const DistanceShape& shape, bool paper);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_DENSE_OUTPUT_H_
