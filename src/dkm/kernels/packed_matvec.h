// Matrix times vector from packed indices and tables.
#ifndef TIERLIB_SRC_DKM_KERNELS_PACKED_MATVEC_H_
#define TIERLIB_SRC_DKM_KERNELS_PACKED_MATVEC_H_

#include <cstdint>

#include "base/thread_pool.h"
#include "tierlib/dkm/palette.h"

namespace tierlib::dkm::host {

struct PackedMatvecArguments {
  PaletteShape shape;
  const std::uint8_t* indices = nullptr;  // [rows][row_bytes]
  const float* tables = nullptr;          // [groups][clusters]
  const float* x = nullptr;               // [columns]
  float* y = nullptr;                     // [rows]
};

// y[r] = sum over i of tables[group of r][index of (r, i)] * x[i], in float32, with sums side by side that a row's end
// adds up: the order depends on the shape and the machine's vectors alone, not on threads.
void PackedMatvec(ThreadPool& pool, const PackedMatvecArguments& a);

// The plain loop that it is compared with: one sum a row, in float64.
void PackedMatvecReference(const PackedMatvecArguments& a);

// y = W x for a dense matrix of bf16, [rows][columns], made with the same care: what PackedMatvec is to be faster than
// where matrices come from memory.
void DenseBF16Matvec(ThreadPool& pool, std::int64_t rows, std::int64_t columns, const std::uint16_t* weights,
                     const float* x, float* y);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_PACKED_MATVEC_H_
