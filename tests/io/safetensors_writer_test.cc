#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WriteSafetensors, ReadsBackWhatItWrote) {
  TemporaryFolder folder;
  const std::vector<float> floats = {1, -2, 3.5f, 0, 5, 6};
  const std::vector<std::uint8_t> bytes = {7, 8, 9};
  const double scalar = 0.25;
  ASSERT_EQ(WriteSafetensors(folder / "a",
                             {{"h.0.weight", DType::kF32, {2, 3}, floats.data()},
                              {"b\"\n\\\u00e9", DType::kU8, {3}, bytes.data()},
                              {"scalar", DType::kF64, {}, &scalar},
                              {"empty", DType::kI64, {0, 4}, nullptr}},
                             {{"step", "12"}, {"note", "two\nlines"}}),
            OkStatus());
  StatusOr<SafetensorsReader> reader = SafetensorsReader::Open(folder / "a");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->metadata().at("note"), "two\nlines");
  const StatusOr<TensorEntry> weight = reader->Find("h.0.weight");
  ASSERT_TRUE(weight.ok()) << weight.status();
  EXPECT_THAT(weight->sizes, ElementsAre(2, 3));
  EXPECT_EQ(std::memcmp(reader->Data(*weight), floats.data(), weight->bytes), 0);
  const StatusOr<TensorEntry> odd = reader->Find("b\"\n\\\u00e9");
  ASSERT_TRUE(odd.ok()) << odd.status();
  EXPECT_EQ(std::memcmp(reader->Data(*odd), bytes.data(), odd->bytes), 0);
  const StatusOr<TensorEntry> rank0 = reader->Find("scalar");
  ASSERT_TRUE(rank0.ok()) << rank0.status();
  EXPECT_TRUE(rank0->sizes.empty());
  EXPECT_EQ(std::memcmp(reader->Data(*rank0), &scalar, 8), 0);
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

TEST(WriteSafetensors, AlignsTheDataSection) {
  TemporaryFolder folder;
  for (std::size_t length = 1; length < 20; ++length) {
    const std::string name(length, 'n');
    ASSERT_EQ(WriteSafetensors(folder / "a", {{name, DType::kU8, {0}, nullptr}}, {}), OkStatus());
    EXPECT_EQ(ReadWhole(folder / "a").size() % 8, 0u);
  }
}

TEST(WriteSafetensors, RefusesNamesAndSizesAndLeavesTheOldFile) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const auto refuses = [&](const std::vector<TensorToWrite>& tensors) {
    const Status status = WriteSafetensors(folder / "a", tensors, {});
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder / "a"));
    return status.code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refuses({{"", DType::kU8, {0}, nullptr}}));
  EXPECT_TRUE(refuses({{"__metadata__", DType::kU8, {0}, nullptr}}));
  EXPECT_TRUE(refuses({{std::string("a\0b", 3), DType::kU8, {0}, nullptr}}));
  EXPECT_TRUE(refuses({{"\xff", DType::kU8, {0}, nullptr}}));
  EXPECT_TRUE(refuses({{"x", DType::kU8, {0}, nullptr}, {"x", DType::kU8, {0}, nullptr}}));
  EXPECT_TRUE(refuses({{"x", DType::kF32, {huge, huge}, nullptr}}));
  EXPECT_TRUE(refuses({{"x", DType::kF32, {-1}, nullptr}}));
  EXPECT_TRUE(refuses({{"x", DType::kU8, {huge}, nullptr}, {"y", DType::kU8, {1}, nullptr}}));
  EXPECT_EQ(ReadWhole(folder / "a"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

}  // namespace
}  // namespace tierlib::io
