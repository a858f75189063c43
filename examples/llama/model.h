// A LLaMA model's weights in float32 on the host.
#ifndef LLAMA_MODEL_H_
#define LLAMA_MODEL_H_

#include <string>
#include <vector>

#include "llama/shape.h"
#include "tierlib/status.h"

namespace llama {

struct Model {
  Shape shape;
  std::vector<std::vector<float>> weights;  // row-major, in the order of WeightsOf
};

// OK, or DataLoss that names the first element that is NaN or infinite. `file` stands in front of the message.
tierlib::Status CheckFinite(const std::vector<float>& weight, const std::string& name, const std::string& file);

// The same model with the rows of queries and keys in the order of halves; as it is where they are already.
Model InHalves(Model model);

}  // namespace llama

#endif  // LLAMA_MODEL_H_
