// Files of llama2.c: read as they were written, and refused by name where they are not what they say.
#include "llama/llama2c_file.h"

#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "llama/random_model.h"

namespace llama {
namespace {

using tierlib::Status;
using tierlib::StatusCode;

class Llama2cFile : public testing::Test {
 protected:
  Status StatusOf(const std::string& bytes) {
    WriteBytes(path_, bytes);
    return ReadLlama2c(path_).status();
  }
  // The file's name and `words` in an error of this code.
  void ExpectError(const std::string& bytes, StatusCode code, const std::string& words) {
    const Status status = StatusOf(bytes);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(status.message().find(path_ + ": "), std::string_view::npos) << status;
    EXPECT_NE(status.message().find(words), std::string_view::npos) << status;
  }
  static void SetNumber(std::string& bytes, std::size_t index, std::int32_t value) {
    std::memcpy(bytes.data() + 4 * index, &value, sizeof value);
  }

  const tierlib::TemporaryFolder folder_;
  const std::string path_ = folder_ / "model.bin";
};

TEST_F(Llama2cFile, IsReadAsItWasWritten) {
  for (const bool tied : {true, false}) {
    const Model model = RandomModel(SmallShape(tied), 7);
    WriteBytes(path_, Llama2cBytes(model));
    const tierlib::StatusOr<Model> read = ReadLlama2c(path_);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape.vocabulary, 300);
    EXPECT_EQ(read->shape.context, 24);
    EXPECT_EQ(read->shape.kv_heads, 2);
    EXPECT_EQ(read->shape.hidden, 44);
    EXPECT_EQ(read->shape.tied, tied);
    EXPECT_EQ(read->weights, model.weights);
  }
}

TEST_F(Llama2cFile, IsRefusedWhereItsLengthIsNotItsHeaders) {
  const std::string bytes = Llama2cBytes(RandomModel(SmallShape(), 7));
  ExpectError(bytes.substr(0, bytes.size() - 1), StatusCode::kDataLoss, "bytes where its header asks for");
  ExpectError(bytes + "x", StatusCode::kDataLoss, "bytes where its header asks for");
  ExpectError(bytes.substr(0, 27), StatusCode::kDataLoss, "ends early");
  ExpectError("", StatusCode::kDataLoss, "ends early");
  EXPECT_EQ(ReadLlama2c(folder_ / "none.bin").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadLlama2c(folder_.path()).status().code(), StatusCode::kInvalidArgument) << "a folder";
}

TEST_F(Llama2cFile, IsRefusedWhereNoModelHasItsNumbers) {
  struct Wrong {
    std::size_t number;
    std::int32_t value;
    const char* words;
  };
  const Wrong table[] = {
      {0, 33, "4 heads do not divide a width of 33 into even parts"},
      {0, 0, "the model's width is 0; it must be from 1"},
      {1, -4, "the model's hidden width is -4"},
      {2, 0x7fffffff, "is beyond any that fits here"},
      {0, 1 << 30, "is beyond any that fits here"},
      {3, 3, "3 heads do not divide a width of 32"},
      {4, 3, "3 heads of keys and values do not divide 4 heads"},
      {5, 0, "the model's vocabulary is 0"},
      {5, static_cast<std::int32_t>(0x80000000), "the model's vocabulary is 2147483648"},
      {6, 0, "the model's context is 0"},
  };
  for (const Wrong& wrong : table) {
    std::string bytes = Llama2cBytes(RandomModel(SmallShape(), 7));
    SetNumber(bytes, wrong.number, wrong.value);
    ExpectError(bytes, StatusCode::kInvalidArgument, wrong.words);
  }
}

TEST_F(Llama2cFile, IsRefusedWhereAWeightIsNoNumber) {
  Model model = RandomModel(SmallShape(), 7);
  model.weights[Position(1, kUp)][3] = std::nanf("");
  ExpectError(Llama2cBytes(model), StatusCode::kDataLoss, "model.layers.1.mlp.up_proj.weight is NaN at element 3");
}

// A limit on the size of files stands for a full disk.
TEST_F(Llama2cFile, IsNotConvertedWhereTheDiskIsFull) {
  WriteBytes(path_, Llama2cBytes(RandomModel(SmallShape(), 7)));
  const tierlib::Ran ran = tierlib::RunProgramAt(
      "/bin/bash", {"-c", "ulimit -f 16; exec \"$0\" \"$@\"", LLAMA_PROGRAM, "convert", path_, folder_.path()});
  EXPECT_EQ(ran.exit_code, 1) << ran.errors;
  EXPECT_EQ(ran.errors.rfind("llama: ", 0), 0u) << ran.errors;
  EXPECT_EQ(folder_.names(), std::set<std::string>{"model.bin"});
}

}  // namespace
}  // namespace llama
