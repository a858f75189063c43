// The sizes and options of a clustering as its kernels take them, those for the host and those for CUDA devices. Plain
// data, as nvcc reads it too.
#ifndef TIERLIB_SRC_DKM_KERNELS_CLUSTERING_SHAPE_H_
#define TIERLIB_SRC_DKM_KERNELS_CLUSTERING_SHAPE_H_

#include <cstdint>

#include "tierlib/dkm/clustering.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// Added to masses: see tiled.h.
inline constexpr double kMassFloor = 1e-30;

// REQUIRES everywhere: vectors >= 1, 1 <= dim <= 256, 1 <= clusters <= 256, 1 <= iterations < 2^24, tau > 0,
// epsilon >= 0, 0 <= attention_floor < 1, prune_threshold >= 0.
struct TiledShape {
  std::int64_t vectors = 0;  // N
  int dim = 1;               // d
  int clusters = 0;          // k
  int iterations = 3;        // T
  Metric metric = Metric::kSquared;
  Attention attention = Attention::kLast;
  double tau = 1;
  double epsilon = 0;  // 0: all iterations run
  double attention_floor = 0;
  double prune_threshold = 0;
};

// A piece's counts have 32 bits, and there are 8 pieces at most.
inline constexpr std::int64_t kExactWeightLimit = std::int64_t{1} << 35;

// REQUIRES everywhere: 1 <= weights < kExactWeightLimit, and `table` as in tiled.h, with dim 1.
struct ExactShape {
  TiledShape table;              // vectors: N
  DType stored = DType::kBF16;   // of weights, output and gradients: bf16 or f16, or f32
  DType pattern = DType::kBF16;  // bf16 or f16: `stored`, or what f32 weights are rounded to
};

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_CLUSTERING_SHAPE_H_
