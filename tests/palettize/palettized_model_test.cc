// Reading palettized models: what the description may say, and what happens where it lies.
#include "tierlib/dkm/palettized_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "io/temporary_folder.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::dkm {
namespace {

using testing::HasSubstr;

constexpr char kDescribed[] = R"({"dtype":"BF16","shape":[4,2,5],"bits":3,"group_rows":3})";

// A file with the palette "w" of 4 x 10 weights, as it should be unless a test changes a part.
struct File {
  std::string description = Description(kDescribed);
  std::vector<std::uint8_t> indices = std::vector<std::uint8_t>(16, 0x5a);
  std::vector<std::int64_t> indices_sizes = {4, 4};
  DType indices_dtype = DType::kU8;
  std::vector<float> table = std::vector<float>(16, 0.5f);
  std::vector<std::int64_t> table_sizes = {2, 8};
  DType table_dtype = DType::kF32;
  std::vector<io::TensorToWrite> more;

  static std::string Description(const std::string& tensor) {
    return R"({"version":1,"tensors":{"w":)" + tensor + "}}";
  }
  StatusOr<PalettizedModel> Open() const {
    TemporaryFolder folder;
    std::vector<io::TensorToWrite> tensors = more;
    tensors.push_back({"w.indices", indices_dtype, indices_sizes, indices.data()});
    tensors.push_back({"w.table", table_dtype, table_sizes, table.data()});
    const Status written = io::WriteSafetensors(folder / "x", tensors, {{kPalettizedKey, description}, {"k", "v"}});
    return written.ok() ? PalettizedModel::Open(folder / "x") : StatusOr<PalettizedModel>(written);
  }
  std::string Error(StatusCode code) const {
    const StatusOr<PalettizedModel> model = Open();
    EXPECT_EQ(model.status().code(), code) << model.status();
    return std::string(model.status().message());
  }
};

TEST(PalettizedModel, ReadsWhatItsDescriptionSays) {
  const File file;
  const StatusOr<PalettizedModel> model = file.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->palettes().size(), 1u);
  const PalettizedTensor& tensor = model->palettes()[0];
  EXPECT_EQ(tensor.name, "w");
  EXPECT_EQ(tensor.dtype, DType::kBF16);
  EXPECT_EQ(tensor.sizes, (std::vector<std::int64_t>{4, 2, 5}));
  EXPECT_EQ(tensor.shape.groups(), 2);
  EXPECT_EQ(static_cast<const unsigned char*>(model->View(0).indices)[15], 0x5a);
  EXPECT_TRUE(model->dense().empty());
  EXPECT_EQ(model->metadata(), (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(DescribePalettized(model->palettes()), R"({"tensors":{"w":{"bits":3,"dtype":"BF16","group_rows":3,)"
                                                   R"("shape":[4,2,5]}},"version":1})");
}

TEST(PalettizedModel, RefusesADescriptionThatCannotBe) {
  const auto error = [](const std::string& tensor) {
    File file;
    file.description = File::Description(tensor);
    return file.Error(StatusCode::kDataLoss);
  };
  EXPECT_THAT(error("3"), HasSubstr("palettized tensor \"w\" is not described by an object"));
  EXPECT_THAT(error(R"({"dtype":"F64","shape":[4,10],"bits":3,"group_rows":3})"), HasSubstr("F32, BF16 or F16"));
  EXPECT_THAT(error(R"({"dtype":["F32"],"shape":[4,10],"bits":3,"group_rows":3})"), HasSubstr("F32, BF16 or F16"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,-10],"bits":3,"group_rows":3})"), HasSubstr("not a whole number"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,1e3],"bits":3,"group_rows":3})"), HasSubstr("not a whole number"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":4,"bits":3,"group_rows":3})"), HasSubstr("at most 64 sizes"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,10],"bits":0,"group_rows":3})"), HasSubstr("1 to 8 bits"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,10],"bits":9,"group_rows":3})"), HasSubstr("1 to 8 bits"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,10],"bits":3,"group_rows":0})"), HasSubstr("group_rows"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4,10],"bits":3})"), HasSubstr("group_rows"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"bits":3,"group_rows":3})"),
              HasSubstr("the sizes are too large"));
  File file;
  for (const char* text :
       {"", "[]", "{}", R"({"version":1})", R"({"version":"1","tensors":{}})", R"({"version":0,"tensors":{}})"}) {
    file.description = text;
    EXPECT_THAT(file.Error(StatusCode::kDataLoss), HasSubstr("tierlib.palettized")) << text;
  }
  file.description = R"({"version":2,"tensors":{}})";
  EXPECT_THAT(file.Error(StatusCode::kUnimplemented), HasSubstr("in version 2"));
}

TEST(PalettizedModel, RefusesTensorsThatAreNotWhatTheDescriptionSays) {
  const auto with = [](auto change) {
    File file;
    change(file);
    return file.Error(StatusCode::kDataLoss);
  };
  EXPECT_THAT(with([](File& f) { f.description = R"({"version":1,"tensors":{"v":)" + std::string(kDescribed) + "}}"; }),
              HasSubstr("palettized tensor \"v\" lacks its .indices"));
  EXPECT_THAT(with([](File& f) { f.indices_sizes = {16}; }), HasSubstr("type U8 and shape [4,4]"));
  EXPECT_THAT(with([](File& f) { f.indices_sizes = {2, 8}; }), HasSubstr("type U8 and shape [4,4]"));
  EXPECT_THAT(with([](File& f) { f.indices_dtype = DType::kI8; }), HasSubstr("type U8 and shape [4,4]"));
  EXPECT_THAT(with([](File& f) { f.table_sizes = {1, 16}; }), HasSubstr("a table of shape [2,8]"));
  EXPECT_THAT(with([](File& f) { f.table_dtype = DType::kI32; }), HasSubstr("is not F32, BF16 or F16"));
  EXPECT_THAT(with([](File& f) { f.table[9] = NAN; }), HasSubstr("a table value that is NaN or infinite"));
  EXPECT_THAT(with([](File& f) {
                f.more.push_back({"w", DType::kU8, {1}, "x"});
              }),
              HasSubstr("\"w\" is there as a dense tensor too"));
}

// Shards that each describe their own: what the first does not name would be taken for dense tensors.
TEST(PalettizedModel, RefusesFilesWithDifferentDescriptions) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> indices(16, 0x5a);
  const std::vector<float> table(16, 0.5f);
  const auto write = [&](const std::string& name, const std::map<std::string, std::string>& metadata) {
    ASSERT_EQ(io::WriteSafetensors(folder / (name + ".safetensors"),
                                   {{name + ".indices", DType::kU8, {4, 4}, indices.data()},
                                    {name + ".table", DType::kF32, {2, 8}, table.data()}},
                                   metadata),
              OkStatus());
  };
  const std::string of_v = R"("v":)" + std::string(kDescribed), of_w = R"("w":)" + std::string(kDescribed);
  const auto described = [](const std::string& tensors) {
    return std::map<std::string, std::string>{{kPalettizedKey, R"({"version":1,"tensors":{)" + tensors + "}}"}};
  };
  const std::string index = folder / "index.json";
  WriteWhole(index, R"({"weight_map":{"v.indices":"v.safetensors","v.table":"v.safetensors",)"
                    R"("w.indices":"w.safetensors","w.table":"w.safetensors"}})");
  write("v", described(of_v));
  write("w", described(of_w));
  const Status status = PalettizedModel::Open(index).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("index.json: has files with different texts under"));
  for (const auto& first : {described(of_v + "," + of_w), {{"format", "pt"}}}) {
    write("v", first);
    write("w", described(of_v + "," + of_w));
    const StatusOr<PalettizedModel> model = PalettizedModel::Open(index);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(model->palettes().size(), 2u) << "all alike, or one that has it";
    EXPECT_TRUE(model->dense().empty());
  }
}

// Random damage to the description: a status or a model whose shapes hold, and never a crash.
TEST(PalettizedModel, DamagedDescriptionsNeverCrash) {
  Random random(51);
  int opened = 0;
  for (int run = 0; run < 2000 / TIERLIB_RANDOM_SCALE + 20; ++run) {
    File file;
    for (std::uint64_t edit = 0; edit <= random.UniformInt(3); ++edit) {
      const std::size_t at = random.UniformInt(file.description.size());
      file.description[at] = static_cast<char>(32 + random.UniformInt(95));
    }
    const StatusOr<PalettizedModel> model = file.Open();
    if (!model.ok()) continue;
    ++opened;
    for (const PalettizedTensor& tensor : model->palettes()) {
      ASSERT_EQ(tensor.shape.index_bytes(), 16);
      ASSERT_EQ(tensor.shape.table_values(), 16);
    }
  }
  EXPECT_TRUE(opened > 0 || TIERLIB_RANDOM_SCALE > 1) << "it is one in some hundred";
}

}  // namespace
}  // namespace tierlib::dkm
