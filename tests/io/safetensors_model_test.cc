// Models in one file and in shards, and indices that lie.
#include "tierlib/io/safetensors_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <vector>

#include "io/temporary_folder.h"

namespace tierlib::io {
namespace {

using testing::HasSubstr;

void WriteShard(const std::string& path, const std::vector<std::string>& names, unsigned char first,
                const std::map<std::string, std::string>& metadata = {}) {
  std::vector<std::vector<unsigned char>> data;
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < names.size(); ++i) data.emplace_back(5, static_cast<unsigned char>(first + i));
  for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i], DType::kU8, {5}, data[i].data()});
  ASSERT_EQ(WriteSafetensors(path, tensors, metadata), OkStatus());
}

// A folder with two shards, a, b | c, and an index of the given text.
class Sharded {
 public:
  explicit Sharded(const std::string& index) {
    WriteShard(folder_ / "m-00001.safetensors", {"a", "b"}, 10, {{"format", "pt"}, {"first", "1"}});
    WriteShard(folder_ / "m-00002.safetensors", {"c"}, 20, {{"format", "np"}});
    WriteWhole(index_, index);
  }
  StatusOr<SafetensorsModel> Open() const { return SafetensorsModel::Open(index_); }
  std::string Error() const { return Open().status().ToString(); }
  const std::string& index() const { return index_; }

 private:
  TemporaryFolder folder_;
  std::string index_ = folder_ / "m.safetensors.index.json";
};

constexpr char kIndex[] = R"({"metadata":{"total_size":15,"deep":{"er":[[[[1]]]]}},"weight_map":)"
                          R"({"c":"m-00002.safetensors","a":"m-00001.safetensors","b":"m-00001.safetensors"}})";

TEST(SafetensorsModel, ReadsShardsAsOneModel) {
  const Sharded sharded(kIndex);
  const StatusOr<SafetensorsModel> model = sharded.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->files(), 2);
  EXPECT_EQ(model->bytes(), 15u);
  ASSERT_EQ(model->tensors().size(), 3u);
  const unsigned char expected[] = {10, 11, 20};
  for (std::size_t i = 0; i < 3; ++i) {
    const SafetensorsModel::Tensor& tensor = model->tensors()[i];
    EXPECT_EQ(tensor.entry.name, std::string(1, static_cast<char>('a' + i)));
    model->Prefetch(tensor);
    for (int round = 0; round < 2; ++round) {  // the second after the pages have left
      const auto* data = static_cast<const unsigned char*>(model->Data(tensor));
      for (int byte = 0; byte < 5; ++byte) EXPECT_EQ(data[byte], expected[i]);
      model->Release(tensor);
    }
  }
  EXPECT_EQ(model->metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"first", "1"}}));
  EXPECT_FALSE(model->MetadataAgrees("format"));
  EXPECT_TRUE(model->MetadataAgrees("first")) << "one file has it";
  EXPECT_TRUE(model->MetadataAgrees("none"));
}

TEST(SafetensorsModel, ReadsOneFile) {
  TemporaryFolder folder;
  WriteShard(folder / "x.safetensors", {"only"}, 7);
  const StatusOr<SafetensorsModel> model = SafetensorsModel::Open(folder / "x.safetensors");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->files(), 1);
  EXPECT_EQ(model->tensors()[0].entry.name, "only");
}

// Tensors of many pages, with their neighbours on the same page at both ends: only pages of its own are given up.
TEST(SafetensorsModel, ReleaseLeavesEveryByteReadable) {
  TemporaryFolder folder;
  std::vector<unsigned char> data(100001);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<unsigned char>(i * 7);
  ASSERT_EQ(WriteSafetensors(folder / "x",
                             {{"a", DType::kU8, {100001}, data.data()},
                              {"e", DType::kU8, {0}, nullptr},
                              {"b", DType::kU8, {50000}, data.data()}},
                             {}),
            OkStatus());
  const StatusOr<SafetensorsModel> model = SafetensorsModel::Open(folder / "x");
  ASSERT_TRUE(model.ok());
  for (const auto& tensor : model->tensors()) model->Release(tensor);
  for (const auto& tensor : model->tensors()) {
    EXPECT_TRUE(tensor.entry.bytes == 0 || std::memcmp(model->Data(tensor), data.data(), tensor.entry.bytes) == 0);
  }
}

TEST(SafetensorsModel, RefusesAnIndexThatLies) {
  const std::string one = R"({"weight_map":{"a":"m-00001.safetensors","b":"m-00001.safetensors",)";
  EXPECT_THAT(Sharded(one + R"("d":"m-00002.safetensors"}})").Error(),
              HasSubstr("index.json: does not say that tensor \"c\" is in m-00002.safetensors"));
  EXPECT_THAT(Sharded(one + R"("c":"m-00002.safetensors","d":"m-00002.safetensors"}})").Error(),
              HasSubstr("says that tensor \"d\" is in m-00002.safetensors, which lacks it"));
  EXPECT_THAT(Sharded(one + R"("c":"m-00001.safetensors"}})").Error(), HasSubstr("tensor \"c\" is in m-00001"));
  EXPECT_EQ(Sharded(one + R"("c":"m-3.safetensors"}})").Open().status().code(), StatusCode::kNotFound);
  for (const char* file : {R"("../x")", R"("/etc/passwd")", R"("")", R"("..")", "3", "[]", R"("a\u0000b")"}) {
    const Sharded sharded(one + R"("c":)" + file + "}}");
    EXPECT_THAT(sharded.Error(), HasSubstr("tensor \"c\" should name a file that lies beside the index")) << file;
    EXPECT_EQ(sharded.Open().status().code(), StatusCode::kDataLoss);
  }
  for (const char* text : {"", "{", "[]", "{}", R"({"weight_map":3})", R"({"weight_map":{}})", "\xff", "null"}) {
    EXPECT_THAT(Sharded(text).Error(), HasSubstr("is not an index of shards")) << text;
  }
  std::string deep = R"({"weight_map":{"a":)";
  deep.append(1000000, '[');
  EXPECT_EQ(Sharded(deep).Open().status().code(), StatusCode::kDataLoss) << "depth costs no stack";
}

TEST(SafetensorsModel, RefusesWhatIsNoFile) {
  TemporaryFolder folder;
  EXPECT_EQ(SafetensorsModel::Open(folder / "none.json").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsModel::Open(folder / "none").status().code(), StatusCode::kNotFound);
  ASSERT_EQ(mkdir((folder / "d.json").c_str(), 0700), 0);
  ASSERT_EQ(mkfifo((folder / "p.json").c_str(), 0600), 0);
  EXPECT_EQ(SafetensorsModel::Open(folder / "d.json").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsModel::Open(folder / "p.json").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib::io
