#include "llama/palette_matrix.h"

#include <utility>

namespace llama {
namespace {

using tierlib::dkm::PaletteView;

class Packed : public Matrix {
 public:
  Packed(std::shared_ptr<const tierlib::dkm::PalettizedModel> model, std::size_t palette,
         std::shared_ptr<tierlib::dkm::Palettizer> palettizer)
      : model_(std::move(model)), view_(model_->View(palette)), palettizer_(std::move(palettizer)) {}

  tierlib::Status Multiply(const float* x, float* y) const override { return palettizer_->Multiply(view_, x, y); }

  tierlib::Status Row(std::int64_t row, float* values) const override {
    PaletteView one = view_;
    one.shape.rows = one.shape.group_rows = 1;
    one.indices = static_cast<const char*>(view_.indices) + row * view_.shape.row_bytes();
    const std::int64_t first = row / view_.shape.group_rows * view_.shape.clusters();
    one.table = static_cast<const char*>(view_.table) +
                first * static_cast<std::int64_t>(tierlib::ElementBytes(view_.table_dtype));
    return palettizer_->Unpack(one, tierlib::DType::kF32, values);
  }

 private:
  const std::shared_ptr<const tierlib::dkm::PalettizedModel> model_;  // whose bytes the view shows
  const PaletteView view_;
  const std::shared_ptr<tierlib::dkm::Palettizer> palettizer_;
};

}  // namespace

std::unique_ptr<Matrix> PaletteMatrix(std::shared_ptr<const tierlib::dkm::PalettizedModel> model, std::size_t palette,
                                      std::shared_ptr<tierlib::dkm::Palettizer> palettizer) {
  return std::make_unique<Packed>(std::move(model), palette, std::move(palettizer));
}

}  // namespace llama
