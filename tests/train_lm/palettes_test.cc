// A checkpoint with trained centroids as a palettized model: its tables come along, whatever k-means would have made of
// the weights, and what is unpacked again is what they say.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "tierlib/dkm/palettized_model.h"
#include "tierlib/io/safetensors.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

using tierlib::Ran;
using tierlib::RunProgramAt;
using tierlib::io::SafetensorsReader;
using tierlib::io::TensorEntry;

std::vector<float> Floats(const SafetensorsReader& reader, const TensorEntry& entry) {
  std::vector<float> values(entry.bytes / sizeof(float));
  std::memcpy(values.data(), reader.Data(entry), entry.bytes);
  return values;
}

TEST(Palettes, HaveTheTablesThatTrainingMade) {
  const tierlib::TemporaryFolder folder;
  const std::string data = folder / "text", saved = folder / "saved", packed = folder / "packed",
                    unpacked = folder / "unpacked";
  tierlib::WriteWhole(data, SampleText(3000));
  const nlohmann::json trained =
      ReportOf(folder.path(), SmallRun(data, {"--bits", "3", "--steps", "40", "--save", saved}));
  const Ran packs = RunProgramAt(
      TIERLIB_PALETTIZE, {saved, packed, "--embedding-bits", "8", "--min-size", "1", "--drop", "^optimizer\\."});
  ASSERT_EQ(packs.exit_code, 0) << packs.errors;
  const Ran unpacks = RunProgramAt(TIERLIB_PALETTIZE, {packed, unpacked, "--unpack"});
  ASSERT_EQ(unpacks.exit_code, 0) << unpacks.errors;

  const SafetensorsReader checkpoint = SafetensorsReader::Open(saved).value();
  const SafetensorsReader dense = SafetensorsReader::Open(unpacked).value();
  int tables = 0;
  for (const TensorEntry& entry : checkpoint.tensors()) {
    const std::string prefix = "dkm.", suffix = ".centroids";
    if (entry.name.rfind(prefix, 0) != 0 || entry.name.find(suffix) == std::string::npos) continue;
    ++tables;
    const std::vector<float> table = Floats(checkpoint, entry);
    EXPECT_EQ(table.size(), 8u);
    const std::string name = entry.name.substr(prefix.size(), entry.name.size() - prefix.size() - suffix.size());
    const std::vector<float> before = Floats(checkpoint, checkpoint.Find(name).value());
    const std::vector<float> after = Floats(dense, dense.Find(name).value());
    const std::set<float> values(table.begin(), table.end());
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i) {
      ASSERT_EQ(values.count(after[i]), 1u) << name << ", element " << i;
      for (const float value : values) {
        ASSERT_LE(std::abs(double{after[i]} - before[i]), std::abs(double{value} - before[i])) << "not the nearest";
      }
    }
  }
  EXPECT_EQ(tables, 8) << "the block matrices of two layers";
  // Evaluation lets training's iterations run once more before it snaps weights; the file has them as they were saved.
  const double loss =
      ReportOf(folder.path(), SmallRun(data, {"--init", unpacked, "--eval-only"}))["val_loss"].get<double>();
  EXPECT_NEAR(loss, trained["val_loss"].get<double>(), 0.05);
}

// Tables of groups of rows, and scales of rows, which the file has as a table for each row.
TEST(Palettes, HaveTheTablesOfGroupsAndTheScales) {
  for (const std::vector<std::string>& scale :
       std::vector<std::vector<std::string>>{{}, {"--per-channel-scale", "min-max"}}) {
    const tierlib::TemporaryFolder folder;
    const std::string data = folder / "text", saved = folder / "saved", packed = folder / "packed",
                      unpacked = folder / "unpacked";
    tierlib::WriteWhole(data, SampleText(3000));
    std::vector<std::string> options = {"--bits", "2", "--group-rows", "20", "--steps", "40", "--save", saved};
    options.insert(options.end(), scale.begin(), scale.end());
    const nlohmann::json trained = ReportOf(folder.path(), SmallRun(data, options));
    EXPECT_EQ(trained["dkm_forms"], (nlohmann::json{{"tiled", 8}}));
    const Ran packs = RunProgramAt(TIERLIB_PALETTIZE,
                                   {saved, packed, "--skip", "wte|wpe", "--min-size", "1", "--drop", "^optimizer\\."});
    ASSERT_EQ(packs.exit_code, 0) << packs.errors;
    ASSERT_EQ(RunProgramAt(TIERLIB_PALETTIZE, {packed, unpacked, "--unpack"}).exit_code, 0);

    const SafetensorsReader checkpoint = SafetensorsReader::Open(saved).value();
    const SafetensorsReader dense = SafetensorsReader::Open(unpacked).value();
    int matrices = 0;
    for (const TensorEntry& entry : checkpoint.tensors()) {
      const auto tables = checkpoint.Find("dkm." + entry.name + ".centroids");
      if (!tables.ok()) continue;
      ++matrices;
      const std::vector<float> table = Floats(checkpoint, *tables);
      const std::size_t rows = static_cast<std::size_t>(entry.sizes[0]),
                        columns = static_cast<std::size_t>(entry.sizes[1]);
      EXPECT_EQ(table.size(), (rows + 19) / 20 * 4);
      std::vector<float> scales(rows, 1.0f);
      if (!scale.empty()) {
        scales = Floats(checkpoint, checkpoint.Find("dkm." + entry.name + ".channel_scales").value());
        ASSERT_EQ(scales.size(), rows);
        EXPECT_NE(scales[0], scales[1]);
      }
      const std::vector<float> after = Floats(dense, dense.Find(entry.name).value());
      const std::vector<float> before = Floats(checkpoint, entry);
      for (std::size_t i = 0; i < after.size(); ++i) {
        const float* own = table.data() + i / columns / 20 * 4;
        float nearest = own[0] * scales[i / columns];
        for (int j = 1; j < 4; ++j) {
          const float value = own[j] * scales[i / columns];
          if (std::abs(double{value} - before[i]) < std::abs(double{nearest} - before[i])) nearest = value;
        }
        ASSERT_EQ(std::abs(double{after[i]} - before[i]), std::abs(double{nearest} - before[i])) << entry.name << i;
      }
    }
    EXPECT_EQ(matrices, 8);
    const double loss =
        ReportOf(folder.path(), SmallRun(data, {"--init", unpacked, "--eval-only"}))["val_loss"].get<double>();
    EXPECT_NEAR(loss, trained["val_loss"].get<double>(), 0.05);
  }
}

}  // namespace
}  // namespace train_lm
