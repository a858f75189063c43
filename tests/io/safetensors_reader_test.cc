#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "io/safetensors_bytes.h"
#include "io/temporary_folder.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SafetensorsReaderTest : public ::testing::Test {
 protected:
  StatusOr<SafetensorsReader> Open(const std::string& bytes) {
    WriteWhole(path_, bytes);
    return SafetensorsReader::Open(path_);
  }
  // Opening fails with DataLoss, naming the file and `what`.
  void ExpectLie(const std::string& bytes, const std::string& what, StatusCode code = StatusCode::kDataLoss) {
    const Status status = Open(bytes).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(path_), HasSubstr(what)));
    EXPECT_EQ(status.message().find('\n'), std::string_view::npos) << status;
  }
  void ExpectBadHeader(const std::string& header, std::size_t data_bytes, const std::string& what) {
    ExpectLie(SafetensorsFile(header, data_bytes), what);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.safetensors";
};

// One f32 tensor "a" of 2 elements with the given text in place of its fields.
std::string OneTensor(const std::string& fields) { return R"({"a":{)" + fields + "}}"; }

TEST_F(SafetensorsReaderTest, ReadsTensorsAndMetadata) {
  StatusOr<SafetensorsReader> reader = Open(SafetensorsFile(
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
      R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"z":{"dtype":"I64","shape":[0,9],"data_offsets":[8,8]}}   )",
      11));
  ASSERT_TRUE(reader.ok()) << reader.status();
  ASSERT_EQ(reader->tensors().size(), 3u);
  EXPECT_EQ(reader->tensors()[0].name, "a");
  EXPECT_EQ(reader->tensors()[1].name, "z");
  EXPECT_EQ(reader->metadata().at("k"), "v");
  StatusOr<TensorEntry> b = reader->Find("b");
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->dtype, DType::kU8);
  EXPECT_EQ(b->sizes, std::vector<std::int64_t>{3});
  EXPECT_EQ(std::memcmp(reader->Data(*b), "\x08\x09\x0a", 3), 0);
}

TEST_F(SafetensorsReaderTest, NamesAMissingTensorAndTheFile) {
  StatusOr<SafetensorsReader> reader = Open(SafetensorsFile("{}", 0));
  ASSERT_TRUE(reader.ok()) << reader.status();
  const Status status = reader->Find("wte.weight").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("wte.weight"), HasSubstr(path_)));
}

TEST_F(SafetensorsReaderTest, RefusesWhatIsNotAFile) {
  EXPECT_EQ(SafetensorsReader::Open(folder_ / "missing").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsReader::Open(folder_.path()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsReader::Open(std::string("a\0b", 3)).status().code(), StatusCode::kInvalidArgument);
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(SafetensorsReader::Open(pipe).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SafetensorsReaderTest, RefusesTruncatedFiles) {
  const std::string whole = SafetensorsFile(OneTensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8);
  ASSERT_TRUE(Open(whole).ok());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_EQ(Open(whole.substr(0, bytes)).status().code(), StatusCode::kDataLoss) << bytes;
  }
}

TEST_F(SafetensorsReaderTest, RefusesLyingHeaderLengths) {
  ExpectLie(LittleEndian64(~0ull) + "{}", "18446744073709551615");
  ExpectLie(LittleEndian64(1ull << 63) + "{}", "the format allows 100000000");
  ExpectLie(LittleEndian64(3) + "{}", "said to have 3 bytes");
  ExpectLie(LittleEndian64(0) + "{}", "does not begin with '{'");
}

TEST_F(SafetensorsReaderTest, RefusesOverlapGapsAndLeftovers) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  ExpectBadHeader("{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})", 7, "\"b\" overlaps");
  ExpectBadHeader("{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})", 9, "1 bytes of no tensor");
  ExpectBadHeader("{" + a + "}", 5, "1 bytes after the last tensor");
  ExpectBadHeader("{" + a + "}", 3, "ends at byte 4 of the data, the file has 3");
  ExpectBadHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3, "1 bytes of no tensor");
  ExpectBadHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[3,1]}})", 3, "before it begins");
}

TEST_F(SafetensorsReaderTest, RefusesSizesThatDoNotFit) {
  ExpectBadHeader(OneTensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8, "need 12");
  ExpectBadHeader(OneTensor(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), 0, "63 bits");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0, "63 bits");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8])"), 8, "2^63");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,8])"), 8, "2^63");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[-8],"data_offsets":[0,8])"), 8, "-8");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[8.0],"data_offsets":[0,8])"), 8, "8.0");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[8],"data_offsets":[0,18446744073709551615])"), 8, "2^63");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[)" + ones + R"(],"data_offsets":[0,1])"), 1, "64 dimensions");
}

TEST_F(SafetensorsReaderTest, RefusesBadNames) {
  const std::string fields = R"(:{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  ExpectBadHeader("{\"a\"" + fields + ",\"a\"" + fields + "}", 0, "\"a\" is there twice");
  ExpectBadHeader("{\"a\\u0000b\"" + fields + "}", 0, "\"a\\x00b\" has a NUL");
  ExpectBadHeader("{\"\"" + fields + "}", 0, "empty name");
  ExpectBadHeader(std::string("{\"a\0b\"", 6) + fields + "}", 0, "NUL");
  ExpectBadHeader("{\"\xff\"" + fields + "}", 0, "not valid JSON");
  ExpectBadHeader(R"({"__metadata__":{},"__metadata__":{}})", 0, "twice");
  ExpectBadHeader(R"({"__metadata__":{"a":"1","a":"2"}})", 0, "twice");
  ExpectBadHeader(R"({"__metadata__":{"a":1}})", 0, "a number");
  EXPECT_TRUE(Open(SafetensorsFile("{\"a\\nb\"" + fields + "}", 0)).ok());
}

TEST_F(SafetensorsReaderTest, RefusesOtherShapesOfJson) {
  ExpectBadHeader("[]", 0, "'{'");
  ExpectBadHeader(R"({"a":[]})", 0, "an array");
  ExpectBadHeader(R"({"a":null})", 0, "null");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1)"), 1, "unknown field \"x\"");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[1])"), 1, "lacks");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])"), 1, "dtype twice");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0])"), 1, "two data_offsets");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,2])"), 1, "two data_offsets");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":1,"data_offsets":[0,1])"), 1, "a number");
  ExpectBadHeader(OneTensor(R"("dtype":"U8","shape":[[1]],"data_offsets":[0,1])"), 1, "an array");
  ExpectBadHeader("{} x", 0, "not valid JSON");
  ExpectBadHeader(std::string("{}\0{", 4), 0, "NUL");
}

TEST_F(SafetensorsReaderTest, NamesADtypeThatIsNotSupported) {
  ExpectLie(SafetensorsFile(OneTensor(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), 8), "F8_E4M3",
            StatusCode::kUnimplemented);
  ExpectBadHeader(OneTensor(R"("dtype":"F33","shape":[1],"data_offsets":[0,8])"), 8, "unknown dtype \"F33\"");
}

TEST_F(SafetensorsReaderTest, SurvivesDeepNesting) {
  for (const char bracket : {'[', '{'}) {
    std::string deep = R"({"a":)";
    for (int i = 0; i < 1'000'000; ++i) deep += bracket == '{' ? "{\"a\":" : "[";
    EXPECT_EQ(Open(SafetensorsFile(deep, 0)).status().code(), StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace tierlib::io
