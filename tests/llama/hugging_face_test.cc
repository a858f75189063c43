// Models as Hugging Face stores them: written and read, dense and as palettes, and refused by name where something is
// not what it should be.
#include "llama/hugging_face.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "gtest/gtest.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "llama/decoder_model.h"
#include "llama/random_model.h"
#include "tierlib/io/safetensors.h"

namespace llama {
namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

const std::vector<std::int32_t> kTokens = {1, 17, 255, 3, 99, 99};

void ExpectNear(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) ASSERT_NEAR(a[i][j], b[i][j], tolerance) << "token " << i;
  }
}

class HuggingFace : public testing::Test {
 protected:
  const tierlib::TemporaryFolder folder_;
};

TEST_F(HuggingFace, AModelOfInterleavedPairsSaysTheSameInHalves) {
  for (const bool tied : {true, false}) {
    Shape shape = SmallShape(tied);
    shape.rope_theta = 50;  // so far from their defaults that nobody could miss them
    shape.norm_epsilon = 0.1;
    const Model model = RandomModel(shape, 5);
    ASSERT_TRUE(WriteHuggingFace(model, folder_.path()).ok());
    const StatusOr<Model> read = ReadModel(folder_.path());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape.pairs, tierlib::autograd::RotaryPairs::kHalves);
    EXPECT_EQ(read->shape.tied, tied);
    EXPECT_EQ(read->shape.rope_theta, 50);
    EXPECT_EQ(read->shape.norm_epsilon, 0.1);
    EXPECT_NE(read->weights[Position(0, kQueries)], model.weights[Position(0, kQueries)]);
    EXPECT_EQ(read->weights[Position(0, kValues)], model.weights[Position(0, kValues)]);
    ExpectNear(AllLogits(*read, kTokens), AllLogits(model, kTokens), 2e-4f);
    ASSERT_TRUE(WriteHuggingFace(*read, folder_.path()).ok());  // already in halves: nothing is turned twice
    EXPECT_EQ(ReadModel(folder_ / "model.safetensors").value().weights, read->weights);
  }
}

TEST_F(HuggingFace, PalettesOfEightBitsSayNearlyTheSame) {
  const Model model = RandomModel(SmallShape(), 6);
  ASSERT_TRUE(WriteHuggingFace(model, folder_.path()).ok());
  const std::string packed = folder_ / "packed.safetensors";
  const tierlib::Ran ran =
      tierlib::RunProgramAt(TIERLIB_PALETTIZE, {folder_ / "model.safetensors", packed, "--bits", "8", "--groups", "16",
                                                "--table-type", "bf16", "--min-size", "1"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  StatusOr<DecoderModel> opened = OpenForDecoder(packed, 2);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_LT(opened->bytes, opened->elements * 4);
  Decoder decoder(opened->shape, std::move(opened->weights));
  std::vector<std::vector<float>> logits;
  for (const std::int32_t token : kTokens) {
    const StatusOr<const float*> next = decoder.Next(token);
    ASSERT_TRUE(next.ok()) << next.status();
    logits.emplace_back(*next, *next + model.shape.vocabulary);
  }
  ExpectNear(logits, AllLogits(model, kTokens), 0.5f);
  const Status dense = ReadModel(packed).status();
  EXPECT_EQ(dense.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(dense.message().find("the weights are palettes; tierlib-palettize --unpack"), std::string_view::npos)
      << dense;
}

TEST_F(HuggingFace, ANormMayBeAPaletteToo) {
  const Model model = RandomModel(SmallShape(), 6);
  std::vector<float> table(256);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = 0.2f + 0.007f * static_cast<float>(i);
  std::vector<tierlib::io::TensorToWrite> tensors;
  const std::vector<WeightSpec> specs = WeightsOf(model.shape);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    tensors.push_back({specs[i].name, tierlib::DType::kF32, specs[i].sizes, model.weights[i].data()});
  }
  tensors.push_back({"dkm.model.norm.weight.centroids", tierlib::DType::kF32, {256}, table.data()});
  ASSERT_TRUE(WriteHuggingFace(model, folder_.path()).ok());  // for its config.json
  ASSERT_TRUE(tierlib::io::WriteSafetensors(folder_ / "model.safetensors", tensors, {}).ok());
  const std::string packed = folder_ / "packed.safetensors";
  const tierlib::Ran ran =
      tierlib::RunProgramAt(TIERLIB_PALETTIZE, {folder_ / "model.safetensors", packed, "--skip", "proj|embed"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  StatusOr<DecoderModel> opened = OpenForDecoder(packed, 1);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Decoder decoder(opened->shape, std::move(opened->weights));
  EXPECT_TRUE(decoder.Next(1).ok());
}

TEST_F(HuggingFace, IsNotWrittenBesideAnIndexThatWouldBeReadInItsPlace) {
  WriteBytes(folder_ / "model.safetensors.index.json", "{}");
  const Status status = WriteHuggingFace(RandomModel(SmallShape(), 5), folder_.path());
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("would be read in place"), std::string_view::npos) << status;
}

TEST_F(HuggingFace, WeightsThatAreMissingOrOfOtherSizesAreNamed) {
  const Model model = RandomModel(SmallShape(), 5);
  ASSERT_TRUE(WriteHuggingFace(model, folder_.path()).ok());
  const auto write = [&](const std::string& name, std::vector<std::int64_t> sizes, tierlib::DType dtype) {
    std::vector<tierlib::io::TensorToWrite> tensors;
    const std::vector<WeightSpec> specs = WeightsOf(model.shape);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].name != name) {
        tensors.push_back({specs[i].name, tierlib::DType::kF32, specs[i].sizes, model.weights[i].data()});
      } else if (!sizes.empty()) {
        tensors.push_back({name, dtype, sizes, model.weights[i].data()});
      }
    }
    EXPECT_TRUE(tierlib::io::WriteSafetensors(folder_ / "model.safetensors", tensors, {}).ok());
    return std::string(ReadModel(folder_.path()).status().message());
  };
  EXPECT_NE(write("model.norm.weight", {}, {}).find("tensor model.norm.weight is missing"), std::string::npos);
  EXPECT_NE(write("model.norm.weight", {8, 4}, tierlib::DType::kF32)
                .find("tensor model.norm.weight is [8, 4], config.json asks for [32]"),
            std::string::npos);
  EXPECT_NE(write("model.norm.weight", {32}, tierlib::DType::kI32).find("is of i32; f32, bf16 or f16 is needed"),
            std::string::npos);
}

TEST_F(HuggingFace, AConfigThatIsNotOfThisArchitectureIsRefused) {
  ASSERT_TRUE(WriteHuggingFace(RandomModel(SmallShape(), 5), folder_.path()).ok());
  const std::string path = folder_ / "config.json";
  const nlohmann::json good = nlohmann::json::parse(tierlib::ReadWhole(path));
  const auto refused = [&](const char* key, const nlohmann::json& value, StatusCode code, const char* words) {
    nlohmann::json config = good;
    if (value.is_discarded()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
    WriteBytes(path, config.dump());
    const Status status = ReadConfig(folder_.path()).status();
    EXPECT_EQ(status.code(), code) << key << ": " << status;
    EXPECT_NE(status.message().find(path + ": "), std::string_view::npos) << status;
    EXPECT_NE(status.message().find(words), std::string_view::npos) << status;
  };
  const nlohmann::json erased = nlohmann::json::parse("", nullptr, false);
  refused("hidden_size", erased, StatusCode::kInvalidArgument, "hidden_size is missing");
  refused("hidden_size", "32", StatusCode::kInvalidArgument, "hidden_size is \"32\"; it must be a whole number");
  refused("num_attention_heads", 5, StatusCode::kInvalidArgument, "5 heads do not divide a width of 32");
  refused("rms_norm_eps", -1, StatusCode::kInvalidArgument, "rms_norm_eps is -1; it must be above 0");
  refused("model_type", "gpt2", StatusCode::kInvalidArgument, "model_type is gpt2, not llama");
  refused("rope_scaling", {{"type", "linear"}}, StatusCode::kUnimplemented, "does not compute rope_scaling");
  refused("attention_bias", true, StatusCode::kUnimplemented, "does not compute biases");
  refused("head_dim", 16, StatusCode::kUnimplemented, "does not compute head_dim");
  refused("hidden_act", "gelu", StatusCode::kUnimplemented, "hidden_act other than silu");
  refused("rope_parameters", {{"rope_type", "llama3"}}, StatusCode::kUnimplemented,
          "does not compute rope_type llama3");
  refused("rope_parameters", 3, StatusCode::kInvalidArgument, "rope_parameters is 3; it must be an object");
  nlohmann::json newer = good;
  newer.erase("rope_theta");
  newer["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000}};
  WriteBytes(path, newer.dump());
  EXPECT_EQ(ReadConfig(folder_.path()).value().rope_theta, 500000);
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  WriteBytes(path, R"({"hidden_size": )" + deep + "}");
  EXPECT_EQ(ReadConfig(folder_.path()).status().code(), StatusCode::kInvalidArgument) << "and no stack overflow";
  WriteBytes(path, "{");
  EXPECT_EQ(ReadConfig(folder_.path()).status().code(), StatusCode::kInvalidArgument);
  std::remove(path.c_str());
  EXPECT_EQ(ReadConfig(folder_.path()).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace llama
