// The JSON text under kPalettizedKey: which tensors are palettes. docs/palettized_format.md has its grammar.
#ifndef TIERLIB_SRC_DKM_PALETTIZED_DESCRIPTION_H_
#define TIERLIB_SRC_DKM_PALETTIZED_DESCRIPTION_H_

#include <string>
#include <vector>

#include "tierlib/dkm/palettized_model.h"
#include "tierlib/status.h"

namespace tierlib::dkm {

inline constexpr int kPalettizedVersion = 1;
inline constexpr char kIndicesSuffix[] = ".indices";
inline constexpr char kTableSuffix[] = ".table";

// Reads a description; table_dtype is left open, as the table itself has it. Any bytes may be passed. DataLoss says
// what is wrong, Unimplemented names a later version. By name.
StatusOr<std::vector<PalettizedTensor>> ParsePalettized(const std::string& text);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_PALETTIZED_DESCRIPTION_H_
