// The LLaMA architecture on the tape: its logits are those of the decoder, which shares no code with it.
#include "train_lm/llama.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "llama/float_convert.h"
#include "llama/random_model.h"
#include "train_lm/block_matrices.h"

namespace train_lm {
namespace {

using tierlib::DType;
using tierlib::autograd::Context;
using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;

ModelShape ShapeOf(const llama::Shape& shape) {
  ModelShape numbers{shape.vocabulary, shape.context, shape.layers, shape.heads, shape.width, std::nullopt};
  numbers.llama = LlamaNumbers{shape.kv_heads, shape.hidden, shape.tied, shape.norm_epsilon, shape.rope_theta};
  return numbers;
}

// The logits of one sequence, token by token.
std::vector<float> LogitsOnTape(const llama::Model& model, const std::vector<std::int32_t>& tokens) {
  tierlib::Options options;
  options.devices[0].capacity = tierlib::MiB(64);
  const std::unique_ptr<tierlib::Runtime> runtime = tierlib::Runtime::Create(options).value();
  const std::unique_ptr<Context> context = Context::Create(*runtime).value();
  HostWeights weights;
  for (const std::vector<float>& weight : model.weights) {
    const std::vector<double> values(weight.begin(), weight.end());
    weights.push_back({DType::kF32, llama::WriteFloats(values, DType::kF32)});
  }
  const std::unique_ptr<Model> on_device = Model::Create(*context, ShapeOf(model.shape), weights).value();
  const Tensor indices = Tensor::FromHost(*context, DType::kI32, {1, static_cast<std::int64_t>(tokens.size())},
                                          tokens.data(), tierlib::Holds::kTransient, "tokens")
                             .value();
  Tape tape(*context);
  const auto logits = on_device->Logits(tape, *StoredMatrices(*on_device), indices, Dropout{});
  EXPECT_TRUE(tape.status().ok()) << tape.status();
  std::vector<float> values(tokens.size() * static_cast<std::size_t>(model.shape.vocabulary));
  EXPECT_TRUE(logits.tensor().CopyToHost(values.data(), values.size() * sizeof(float)).ok());
  return values;
}

TEST(LlamaModel, SaysWhatTheDecoderSays) {
  const std::vector<std::int32_t> tokens = {1, 17, 255, 3, 99, 99, 0, 42};
  for (const bool tied : {true, false}) {
    for (const std::int64_t kv_heads : {1, 2, 4}) {
      llama::Shape shape = llama::SmallShape(tied);
      shape.kv_heads = kv_heads;
      shape.norm_epsilon = 0.1;  // large enough to be missed
      shape.rope_theta = 50;
      const llama::Model model = llama::InHalves(llama::RandomModel(shape, 21));
      const std::vector<float> on_tape = LogitsOnTape(model, tokens);
      const std::vector<std::vector<float>> decoded = llama::AllLogits(model, tokens);
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        for (std::size_t j = 0; j < decoded[i].size(); ++j) {
          ASSERT_NEAR(on_tape[i * decoded[i].size() + j], decoded[i][j], 5e-4)
              << "token " << i << ", tied " << tied << ", kv_heads " << kv_heads;
        }
      }
    }
  }
}

TEST(LlamaModel, HasItsMatricesAndNoOthersClustered) {
  const std::vector<WeightSpec> specs = WeightsOf(ShapeOf(llama::SmallShape(/*tied=*/false)));
  int clustered = 0;
  for (const WeightSpec& spec : specs) {
    clustered += spec.block_matrix ? 1 : 0;
    EXPECT_EQ(spec.block_matrix, spec.name.find("_proj") != std::string::npos) << spec.name;
    EXPECT_EQ(spec.deviation == 0, spec.sizes.size() == 1) << spec.name;
  }
  EXPECT_EQ(clustered, 2 * 7);
}

}  // namespace
}  // namespace train_lm
