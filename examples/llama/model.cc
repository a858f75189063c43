#include "llama/model.h"

#include <cmath>

namespace llama {

tierlib::Status CheckFinite(const std::vector<float>& weight, const std::string& name, const std::string& file) {
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (std::isfinite(weight[i])) continue;
    return tierlib::DataLossError(file + ": " + name + " is " + (std::isnan(weight[i]) ? "NaN" : "infinite") +
                                  " at element " + std::to_string(i));
  }
  return tierlib::OkStatus();
}

}  // namespace llama
