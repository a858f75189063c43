// What palettes check before they compute. Stateless; any thread.
#ifndef TIERLIB_SRC_DKM_PALETTE_SHAPE_H_
#define TIERLIB_SRC_DKM_PALETTE_SHAPE_H_

#include <string>
#include <vector>

#include "tierlib/dkm/palette.h"
#include "tierlib/status.h"

namespace tierlib::dkm {

// Whether tables and dense weights may have this type: f32, bf16 or f16.
bool IsPaletteType(DType dtype);

// InvalidArgument where the type of the tables is none of these or bits are not 1 to 8.
Status CheckView(const PaletteView& palette);

// The tables' values, [groups][clusters].
std::vector<float> ReadTables(const PaletteView& palette);

// "tensor wte.weight: value 1027, at [8,3], is NaN or infinite".
Status NotFiniteError(const DenseWeight& weight, std::int64_t position);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_PALETTE_SHAPE_H_
