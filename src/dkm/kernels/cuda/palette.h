// Palettes on a CUDA device: indices of the nearest centroids, packed and unpacked, and the product of a packed matrix
// with a vector (tierlib/dkm/palette.h has the layout). References: dkm/kernels/palettize.h, packed_bits.h,
// packed_matvec.h.
//
// Launches enqueue and return: InvalidArgument for what they are not made for, Unavailable or Internal with CUDA's
// words, Unimplemented in a build without CUDA. They neither wait nor allocate. All pointers are to the device's memory
// but for FindNonFinite's result.
//
// Thread-safety: pure functions of their arguments.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_H_

#include <cstdint>

#include "tierlib/dkm/clustering.h"
#include "tierlib/dkm/palette.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::dkm::cuda {

// T is float for f32, bf16 and f16 weights, double for f64. Ties go to the lowest index; a vector that is not finite
// gets index 0. REQUIRES: dim and clusters are 1 to 256.
template <typename T>
struct PalettizeArguments {
  DType dtype = DType::kF32;  // of weights and output
  std::int64_t vectors = 0;
  int dim = 1;
  int clusters = 0;
  const void* weights = nullptr;    // [vectors][dim]
  const T* centroids = nullptr;     // [clusters][dim]
  void* output = nullptr;           // [vectors][dim]; null: not wanted. Centroids are rounded to the dtype.
  std::uint8_t* indices = nullptr;  // [vectors]; null: not wanted
  double prune_threshold = 0;       // what the distance to centroid 0, of this metric, is lowered by
  Metric metric = Metric::kSquared;
};
Status Palettize(const PalettizeArguments<float>& a, Stream stream);
Status Palettize(const PalettizeArguments<double>& a, Stream stream);

// indices [rows][columns] below 2^bits from and to packed [rows][row_bytes]; bits that are left are 0.
struct PackArguments {
  PaletteShape shape;
  const std::uint8_t* indices = nullptr;
  std::uint8_t* packed = nullptr;
};
Status PackIndices(const PackArguments& a, Stream stream);
struct UnpackArguments {
  PaletteShape shape;
  const std::uint8_t* packed = nullptr;
  std::uint8_t* indices = nullptr;
};
Status UnpackIndices(const UnpackArguments& a, Stream stream);

// weights [rows][columns] of f32, bf16 or f16 from packed indices and tables [groups][clusters].
struct UnpackWeightsArguments {
  PaletteShape shape;
  const std::uint8_t* packed = nullptr;
  const float* tables = nullptr;
  DType dtype = DType::kF32;
  void* weights = nullptr;
};
Status UnpackWeights(const UnpackWeightsArguments& a, Stream stream);

// y = W x in float32: 32 sums side by side for each row, which are added up in order.
struct MatvecArguments {
  PaletteShape shape;
  const std::uint8_t* packed = nullptr;
  const float* tables = nullptr;  // [groups][clusters]
  const float* x = nullptr;       // [columns]
  float* y = nullptr;             // [rows]
};
Status PackedMatvec(const MatvecArguments& a, Stream stream);

// Lowers `first`, pinned memory of the host, to the position of the first NaN or infinity. `found`: 8 bytes of
// workspace.
struct FindNonFiniteArguments {
  DType dtype = DType::kF32;  // f64, f32, bf16 or f16
  const void* values = nullptr;
  std::int64_t count = 0;
  std::int64_t* found = nullptr;
  std::int64_t* first = nullptr;
};
Status FindNonFinite(const FindNonFiniteArguments& a, Stream stream);

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_H_
