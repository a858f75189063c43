// Hard assignment: every vector of weights replaced by its nearest centroid.
#ifndef TIERLIB_SRC_DKM_KERNELS_PALETTIZE_H_
#define TIERLIB_SRC_DKM_KERNELS_PALETTIZE_H_

#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "tierlib/dkm/clustering.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// T is float for f32, bf16 and f16 weights, double for f64. Distances are in T, squared Euclidean where nothing lowers
// that to centroid 0: the nearest centroid is the same by the plain distance. Ties go to the lowest index; a vector
// that is not finite gets index 0. REQUIRES: dim <= 256, clusters <= 256.
template <typename T>
struct PalettizeArguments {
  DType dtype = DType::kF32;  // of weights and output
  std::int64_t vectors = 0;
  int dim = 1;
  int clusters = 0;
  const void* weights = nullptr;     // [vectors][dim]
  const T* centroids = nullptr;      // [clusters][dim]
  void* output = nullptr;            // [vectors][dim]; null: not wanted. Centroids are rounded to the dtype.
  std::uint8_t* indices = nullptr;   // [vectors]; null: not wanted
  double prune_threshold = 0;        // what the distance to centroid 0 is lowered by, >= 0
  Metric metric = Metric::kSquared;  // that distance
};
void Palettize(KernelContext& context, const PalettizeArguments<float>& a);
void Palettize(KernelContext& context, const PalettizeArguments<double>& a);

// What a table of centroids has for them, in place: `count` values rounded to float32 and then to `type`: f32, f16,
// bf16, or i8, where q in -127 .. 127 stands for q * scale and scale is the largest magnitude over 127, in float32.
// Beyond the range of a type: its largest value. NaN stays NaN, and with i8 makes all of them NaN or 0.
void RoundTable(DType type, std::size_t count, float* centroids);
void RoundTable(DType type, std::size_t count, double* centroids);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_PALETTIZE_H_
