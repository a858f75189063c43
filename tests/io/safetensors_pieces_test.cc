// SafetensorsWriter: pieces in any order give the file that WriteSafetensors would, or none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "io/in_child.h"
#include "io/temporary_folder.h"
#include "tierlib/io/safetensors_writer.h"

namespace tierlib::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<TensorEntry> kTensors = {{"bytes", DType::kU8, {3}},
                                           {"half", DType::kBF16, {3}},
                                           {"empty", DType::kI64, {0, 4}},
                                           {"floats", DType::kF32, {2, 2}}};

TEST(SafetensorsWriter, TakesPiecesInAnyOrder) {
  TemporaryFolder folder;
  StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(folder / "x", kTensors, {{"k", "v"}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_EQ(writer->Write("bytes", 2, "c", 1), OkStatus());
  ASSERT_EQ(writer->Write("floats", 0, "0123456789abcdef", 16), OkStatus());
  ASSERT_EQ(writer->Write("bytes", 0, "ab", 2), OkStatus());
  ASSERT_EQ(writer->Write("half", 0, "uvwxyz", 6), OkStatus());
  EXPECT_FALSE(folder.names().count("x")) << "there only when it is whole";
  ASSERT_EQ(writer->Commit(), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "x").size(), writer->file_bytes());
  const StatusOr<SafetensorsReader> reader = SafetensorsReader::Open(folder / "x");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->metadata().at("k"), "v");
  const auto text = [&](const std::string& name) {
    const TensorEntry entry = *reader->Find(name);
    return std::string(static_cast<const char*>(reader->Data(entry)), entry.bytes);
  };
  EXPECT_EQ(text("bytes"), "abc");
  EXPECT_EQ(text("half"), "uvwxyz");
  EXPECT_EQ(text("floats"), "0123456789abcdef");
  for (const TensorEntry& tensor : reader->tensors()) {
    EXPECT_EQ(tensor.offset % ElementBytes(tensor.dtype), 0u) << tensor.name << " is not aligned";
  }
}

TEST(SafetensorsWriter, RefusesWhatDoesNotFitItsPlan) {
  TemporaryFolder folder;
  WriteWhole(folder / "x", "old");
  {
    StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(folder / "x", kTensors, {});
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ(writer->Write("none", 0, "a", 1).code(), StatusCode::kNotFound);
    EXPECT_EQ(writer->Write("bytes", 0, "abcd", 4).code(), StatusCode::kOutOfRange);
    EXPECT_EQ(writer->Write("bytes", 4, "", 0).code(), StatusCode::kOutOfRange);
    EXPECT_EQ(writer->Write("bytes", ~std::uint64_t{0}, "ab", 2).code(), StatusCode::kOutOfRange);
    ASSERT_EQ(writer->Write("bytes", 0, "abc", 3), OkStatus());
    ASSERT_EQ(writer->Write("half", 0, "uvwxyz", 6), OkStatus());
    const Status status = writer->Commit();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("tensor \"floats\" got 0 of 16 bytes"));
  }
  EXPECT_EQ(
      SafetensorsWriter::Create(folder / "x", {{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}}, {}).status().code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsWriter::Create(folder / "x", {{"a", DType::kU8, {-1}}}, {}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadWhole(folder / "x"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("x"));
}

TEST(SafetensorsWriter, WritesAnEmptyModel) {
  TemporaryFolder folder;
  StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(folder / "x", {}, {});
  ASSERT_TRUE(writer.ok());
  ASSERT_EQ(writer->Commit(), OkStatus());
  EXPECT_TRUE(SafetensorsReader::Open(folder / "x").ok());
}

// A limit on the size of files stands for a full disk: it is found when the file is made, and nothing is left.
TEST(SafetensorsWriter, FindsAFullDiskBeforeTheWork) {
  TemporaryFolder folder;
  WriteWhole(folder / "x", "old");
  EXPECT_TRUE(InChild([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    return SafetensorsWriter::Create(folder / "x", {{"large", DType::kU8, {200000}}}, {}).status().code() ==
           StatusCode::kResourceExhausted;
  }));
  EXPECT_EQ(ReadWhole(folder / "x"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("x"));
}

}  // namespace
}  // namespace tierlib::io
