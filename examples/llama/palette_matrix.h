// A matrix that stays packed: products and rows are made from its indices and tables.
#ifndef LLAMA_PALETTE_MATRIX_H_
#define LLAMA_PALETTE_MATRIX_H_

#include <cstddef>
#include <memory>

#include "llama/matrix.h"
#include "tierlib/dkm/palette.h"
#include "tierlib/dkm/palettized_model.h"

namespace llama {

// By its place in model->palettes(). Matrices that share a palettizer are used by one thread at a time.
std::unique_ptr<Matrix> PaletteMatrix(std::shared_ptr<const tierlib::dkm::PalettizedModel> model, std::size_t palette,
                                      std::shared_ptr<tierlib::dkm::Palettizer> palettizer);

}  // namespace llama

#endif  // LLAMA_PALETTE_MATRIX_H_
