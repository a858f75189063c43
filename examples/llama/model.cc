#include "llama/model.h"

#include <cmath>
#include <cstdint>

namespace llama {

namespace {

// Rows of queries or keys from the order of interleaved pairs to that of halves: head by head, first the even ones.
std::vector<float> HalvesOf(const std::vector<float>& weight, std::int64_t head_width, std::int64_t columns) {
  std::vector<float> halves;
  halves.reserve(weight.size());
  const auto rows = static_cast<std::int64_t>(weight.size()) / columns;
  for (std::int64_t head = 0; head < rows; head += head_width) {
    for (const std::int64_t odd : {0, 1}) {
      for (std::int64_t row = head + odd; row < head + head_width; row += 2) {
        halves.insert(halves.end(), weight.begin() + row * columns, weight.begin() + (row + 1) * columns);
      }
    }
  }
  return halves;
}

}  // namespace

tierlib::Status CheckFinite(const std::vector<float>& weight, const std::string& name, const std::string& file) {
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (std::isfinite(weight[i])) continue;
    return tierlib::DataLossError(file + ": " + name + " is " + (std::isnan(weight[i]) ? "NaN" : "infinite") +
                                  " at element " + std::to_string(i));
  }
  return tierlib::OkStatus();
}

Model InHalves(Model model) {
  if (model.shape.pairs == tierlib::autograd::RotaryPairs::kHalves) return model;
  for (std::int64_t layer = 0; layer < model.shape.layers; ++layer) {
    for (const LayerWeight weight : {kQueries, kKeys}) {
      std::vector<float>& rows = model.weights[Position(layer, weight)];
      rows = HalvesOf(rows, model.shape.head_width(), model.shape.width);
    }
  }
  model.shape.pairs = tierlib::autograd::RotaryPairs::kHalves;
  return model;
}

}  // namespace llama
