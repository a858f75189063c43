// How often each value is among weights: what exact clustering works on. 16-bit weights have at most 65,536 distinct
// values. Those of 32 bits are put into as many cells, narrow enough that only few borders between clusters, if any,
// lie inside one.
//
// All counts are integers, and so are the sums within cells: the result does not depend on the order of the weights'
// visits, hence not on the number of threads.
#ifndef TIERLIB_SRC_DKM_VALUE_CELLS_H_
#define TIERLIB_SRC_DKM_VALUE_CELLS_H_

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "dkm/kmeans_1d.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm {

// Counts of the 65,536 bit patterns of `count` bf16 or f16 values at `data`, of any alignment.
std::vector<std::uint64_t> CountBitPatterns(ThreadPool& pool, const void* data, std::int64_t count);

// The value of a bit pattern. REQUIRES: dtype is bf16 or f16.
float ValueOfBits(DType dtype, std::uint16_t bits);

// Whether all patterns that are there are finite values.
bool AllFinite(DType dtype, const std::vector<std::uint64_t>& counts);

// The values, from the counts of their patterns. REQUIRES: AllFinite, at least one count is not 0.
WeightedValues ValuesOfBits(DType dtype, const std::vector<std::uint64_t>& counts);

// `count` float32 values at `data`, of any alignment, as the means of at most 65,536 cells. A cell is all values that
// agree in their first 16 + s bits (sign, exponent, and the first 7 + s of the mantissa): s is as large as the number
// of cells that are not empty allows, 3 for weights that are normally distributed, so cells are as fine as binary16.
// Each pass over the data gets the bits that the passes before left room for. Where the values have no further bits, or
// are so few that all bits find room (always up to 256 distinct values), each cell is one value, exactly.
//
// Returns nothing where a value is NaN or infinite. REQUIRES: count > 0.
WeightedValues CellsOfFloats(ThreadPool& pool, const void* data, std::int64_t count);

// The position of the first NaN or infinity, or -1. Any alignment. REQUIRES: dtype is f32, bf16 or f16.
std::int64_t FirstNotFinite(DType dtype, const void* data, std::int64_t count);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_VALUE_CELLS_H_
