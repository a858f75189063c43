// Maps that have one row per distinct weight instead of one per weight (U of eDKM), and back.
//
// A weight of 16 bits takes at most 65,536 values. What row-wise ops make of it has equal rows where weights are equal
// to the bit, so the weight's bits say which row of a table is whose: they are the index list.
#ifndef TIERLIB_SRC_DKM_KERNELS_UNIQUIFY_H_
#define TIERLIB_SRC_DKM_KERNELS_UNIQUIFY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"

namespace tierlib::dkm::host {

inline constexpr std::int64_t kKeys = 65'536;

// Weights as their keys: the bits of 16-bit values, the upper half of 32-bit ones whose lower half is 0 (bf16 in f32).
struct KeyedWeights {
  std::int64_t count = 0;
  std::size_t element_bytes = 2;  // 2 or 4
  const void* values = nullptr;   // [count]
};

// What the host learns of them. Written by a kernel, read once its stream has been waited for.
struct DistinctFound {
  std::int64_t count = 0;  // distinct keys; 0 where a 32-bit value has more than 16 bits, and where no kernel ran
};

// Distinct keys in ascending order, with the first position of each. Room for kKeys in both.
struct FindDistinctArguments {
  KeyedWeights weights;
  std::uint16_t* keys = nullptr;
  std::int64_t* first = nullptr;
  DistinctFound* found = nullptr;
};
void FindDistinct(KernelContext& context, const FindDistinctArguments& a);

// A map of `rows` x `columns` elements in the order of its storage: element (i, j) at i * row_stride + j *
// column_stride.
struct MapShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  std::size_t element_bytes = 2;  // 2, 4 or 8
};

struct TableArguments {
  MapShape shape;
  KeyedWeights weights;  // shape.rows of them
  std::int64_t distinct = 0;
  const std::uint16_t* keys = nullptr;  // [distinct], ascending
  void* workspace = nullptr;            // kKeys uint16
};

// table[u] = the map's row first[u]. Sets `differs` where a row of the map has other bits than its weight's row in the
// table: then the map is not a function of the weights' bits.
struct TakeRowsArguments {
  TableArguments table_of;
  const std::int64_t* first = nullptr;  // [distinct]
  const void* map = nullptr;
  void* table = nullptr;  // [distinct][columns]
  std::atomic<bool>* differs = nullptr;
};
void TakeRows(KernelContext& context, const TakeRowsArguments& a);

// The map again. REQUIRES: every weight's key is among `keys`.
struct PlaceRowsArguments {
  TableArguments table_of;
  const void* table = nullptr;
  void* map = nullptr;
};
void PlaceRows(KernelContext& context, const PlaceRowsArguments& a);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_UNIQUIFY_H_
