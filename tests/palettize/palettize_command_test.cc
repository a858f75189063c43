// tierlib-palettize as a user meets it: a process with arguments, files, output and an exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "palettize/small_model.h"
#include "tierlib/dkm/palettized_model.h"

namespace tierlib::dkm {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

Ran Palettize(std::vector<std::string> arguments) {
  return RunProgramAt(TIERLIB_PALETTIZE_PROGRAM, std::move(arguments));
}

void ExpectOneLine(const Ran& ran, int exit_code, const std::string& text) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.errors;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.errors.find("tierlib-palettize: "), 0u) << ran.errors;
  EXPECT_THAT(ran.errors, HasSubstr(text));
  EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
}

// Runs the program and sends it a signal as soon as its temporary is in `folder`, of which names that begin with a dot
// are no others'.
Ran StoppedBy(const std::string& signal, const std::string& folder, std::vector<std::string> arguments) {
  static constexpr char kScript[] =
      R"(signal=$1 folder=$2; shift 2; "$0" "$@" & child=$!
         until compgen -G "$folder/.[!.]*" >/dev/null || ! kill -0 $child; do sleep 0.001; done
         kill -s $signal $child; wait $child)";
  arguments.insert(arguments.begin(), {"-c", kScript, TIERLIB_PALETTIZE_PROGRAM, signal, folder});
  return RunProgramAt("/bin/bash", std::move(arguments));
}

// "NAME:bits" of each palette.
std::vector<std::string> Forms(const PalettizedModel& model) {
  std::vector<std::string> forms;
  for (const PalettizedTensor& tensor : model.palettes()) {
    forms.push_back(tensor.name + ":" + std::to_string(tensor.shape.bits));
  }
  return forms;
}

std::string BytesOf(const io::SafetensorsReader& reader, const std::string& name) {
  const StatusOr<io::TensorEntry> entry = reader.Find(name);
  if (!entry.ok()) return "not there: " + name;
  return std::string(static_cast<const char*>(reader.Data(*entry)), entry->bytes);
}

class PalettizeCommand : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::string in_ = folder_ / "in.safetensors";
  const std::string out_ = folder_ / "out.safetensors";
  const std::string dense_ = folder_ / "dense.safetensors";
};

TEST_F(PalettizeCommand, ShowsHelpAndVersion) {
  const Ran help = Palettize({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option :
       {"--bits", "--embedding-bits", "--groups", "--skip", "--embedding", "--min-size", "--unpack"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
  EXPECT_EQ(Palettize({"--version"}).out.find("tierlib-palettize "), 0u);
}

TEST_F(PalettizeCommand, WrongUsageIsOneLineAndExitCode2) {
  ExpectOneLine(Palettize({}), 2, "IN");
  ExpectOneLine(Palettize({in_}), 2, "OUT");
  ExpectOneLine(Palettize({in_, out_, "--bits", "9"}), 2, "--bits");
  ExpectOneLine(Palettize({in_, out_, "--bits", "0"}), 2, "--bits");
  ExpectOneLine(Palettize({in_, out_, "--groups", "0"}), 2, "--groups");
  ExpectOneLine(Palettize({in_, out_, "--skip", "("}), 2, "--skip: not a regular expression");
  ExpectOneLine(Palettize({in_, out_, "--table-type", "f64"}), 2, "--table-type");
  // Nothing that says how to pack is passed over where nothing is packed.
  const std::vector<std::pair<std::string, std::string>> packing = {
      {"--bits", "3"}, {"--embedding-bits", "8"}, {"--groups", "2"},   {"--skip", "a"},
      {"--drop", "a"}, {"--embedding", "a"},      {"--min-size", "1"}, {"--table-type", "f32"}};
  for (const auto& [option, value] : packing) {
    ExpectOneLine(Palettize({in_, out_, "--unpack", option, value}), 2, option);
  }
}

TEST_F(PalettizeCommand, PacksMatricesAndKeepsTheRest) {
  const TensorList model = SmallModel();
  ASSERT_EQ(model.Write(in_, {{"format", "pt"}}), OkStatus());
  const Ran ran = Palettize({in_, out_, "--bits", "3"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "") << "no bar where there is no terminal";
  for (const char* text : {"97 x 65", "3 bits", "8 bits", "dense: vector", "dense: small", "dense: type", "scalar",
                           "11 tensors, ", "MB/s of input"}) {
    EXPECT_THAT(ran.out, HasSubstr(text));
  }
  const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(Forms(*packed),
              UnorderedElementsAre("model.embed_tokens.weight:8", "model.layers.0.mlp.up_proj.weight:3",
                                   "model.layers.0.mlp.down_proj.weight:3", "model.layers.0.conv.weight:3",
                                   "model.layers.0.large.weight:3", "lm_head.weight:8"));
  EXPECT_EQ(packed->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  const StatusOr<io::SafetensorsReader> source = io::SafetensorsReader::Open(in_);
  for (std::size_t i = 0; i < packed->dense().size(); ++i) {
    const io::TensorEntry& entry = packed->dense()[i];
    EXPECT_EQ(std::string(static_cast<const char*>(packed->Data(i)), entry.bytes), BytesOf(*source, entry.name));
  }
}

// What is read back is, to the bit, what the library makes of each weight; and unpacked it is the dense model that the
// indices and tables stand for.
TEST_F(PalettizeCommand, ReadsBackBitForBit) {
  const TensorList model = SmallModel();
  ASSERT_EQ(model.Write(in_, {{"format", "pt"}}), OkStatus());
  ASSERT_EQ(Palettize({in_, out_, "--bits", "4", "--groups", "10", "--threads", "2", "--table-type", "f16"}).exit_code,
            0);
  const Ran unpacked = Palettize({out_, dense_, "--unpack"});
  ASSERT_EQ(unpacked.exit_code, 0) << unpacked.errors;
  const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
  ASSERT_TRUE(packed.ok()) << packed.status();
  const StatusOr<io::SafetensorsReader> dense = io::SafetensorsReader::Open(dense_);
  ASSERT_TRUE(dense.ok()) << dense.status();
  EXPECT_EQ(dense->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(dense->tensors().size(), model.tensors().size());
  Palettizer palettizer(1);
  for (const io::TensorToWrite& tensor : model.tensors()) {
    const StatusOr<io::TensorEntry> entry = dense->Find(tensor.name);
    ASSERT_TRUE(entry.ok()) << entry.status();
    EXPECT_EQ(entry->sizes, tensor.sizes);
    EXPECT_EQ(entry->dtype, tensor.dtype);
    const auto palette = std::find_if(packed->palettes().begin(), packed->palettes().end(),
                                      [&](const PalettizedTensor& each) { return each.name == tensor.name; });
    if (palette == packed->palettes().end()) {
      EXPECT_EQ(BytesOf(*dense, tensor.name), std::string(static_cast<const char*>(tensor.data), entry->bytes));
      continue;
    }
    const PaletteView view = packed->View(static_cast<std::size_t>(palette - packed->palettes().begin()));
    const StatusOr<Palette> made =
        palettizer.Cluster({tensor.name, tensor.dtype, tensor.sizes, tensor.data}, {view.shape.bits, 10, DType::kF16});
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(view.shape.groups(), (tensor.sizes[0] + 9) / 10);
    EXPECT_EQ(std::memcmp(view.indices, made->indices.data(), made->indices.size()), 0) << tensor.name;
    EXPECT_EQ(std::memcmp(view.table, made->table.data(), made->table.size()), 0) << tensor.name;
    std::string expected(entry->bytes, '\0');
    ASSERT_EQ(palettizer.Unpack(made->view(), tensor.dtype, expected.data()), OkStatus());
    EXPECT_EQ(BytesOf(*dense, tensor.name), expected) << tensor.name;
  }
}

TEST_F(PalettizeCommand, ChoosesByName) {
  const TensorList model = SmallModel();
  ASSERT_EQ(model.Write(in_), OkStatus());
  const Ran ran = Palettize({in_, out_, "--bits", "2", "--embedding-bits", "5", "--embedding", "up_proj|lm_head",
                             "--skip", "^lm_|conv", "--min-size", "2025", "--drop", "embed|step"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.out, HasSubstr("dense: skipped"));
  EXPECT_THAT(ran.out, HasSubstr("2 tensors dropped"));
  const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(Forms(*packed),
              UnorderedElementsAre("model.layers.0.mlp.up_proj.weight:5", "model.layers.0.mlp.down_proj.weight:2",
                                   "model.layers.0.large.weight:2", "model.layers.0.small.weight:2"));
}

TEST_F(PalettizeCommand, KnowsEmbeddingsOfManyModels) {
  TensorList model;
  const std::vector<std::string> embeddings = {
      "transformer.wte.weight", "wte.weight",     "transformer.wpe.weight",   "tok_embeddings.weight",
      "output.weight",          "lm_head.weight", "gpt_neox.embed_in.weight", "model.decoder.embed_positions.weight"};
  const std::vector<std::string> others = {"layers.0.attention.output_proj.weight", "swte.weight",
                                           "h.0.attn.c_attn.weight"};
  for (const auto* names : {&embeddings, &others}) {
    for (const std::string& name : *names) model.AddNormal(name, DType::kBF16, {64, 32});
  }
  ASSERT_EQ(model.Write(in_), OkStatus());
  ASSERT_EQ(Palettize({in_, out_}).exit_code, 0);
  const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
  ASSERT_TRUE(packed.ok());
  for (const PalettizedTensor& tensor : packed->palettes()) {
    const bool embedding = std::find(embeddings.begin(), embeddings.end(), tensor.name) != embeddings.end();
    EXPECT_EQ(tensor.shape.bits, embedding ? 8 : 3) << tensor.name;
  }
}

TEST_F(PalettizeCommand, ReadsShards) {
  TensorList first, second;
  first.AddNormal("a.weight", DType::kBF16, {64, 64});
  second.AddNormal("b.weight", DType::kF32, {64, 64});
  ASSERT_EQ(first.Write(folder_ / "m-1.safetensors"), OkStatus());
  ASSERT_EQ(second.Write(folder_ / "m-2.safetensors"), OkStatus());
  const std::string index = folder_ / "model.safetensors.index.json";
  WriteWhole(index, R"({"metadata":{},"weight_map":{"a.weight":"m-1.safetensors","b.weight":"m-2.safetensors"}})");
  const Ran ran = Palettize({index, out_});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(PalettizedModel::Open(out_)->palettes().size(), 2u);
}

// Tables that DKM trained come along as they are, whatever the other options say.
TEST_F(PalettizeCommand, KeepsTrainedTables) {
  TensorList model;
  model.AddNormal("h.0.weight", DType::kF32, {20, 20});
  model.AddNormal("h.1.weight", DType::kF32, {64, 64});
  const std::vector<float> table = {0.031f, -0.03f, 0.011f, -0.01f};
  model.Add("dkm.h.0.weight.centroids", DType::kF32, {4}, table);
  model.Add("dkm.other.centroids", DType::kF32, {4}, table);
  ASSERT_EQ(model.Write(in_), OkStatus());
  const Ran ran = Palettize({in_, out_, "--table-type", "bf16", "--groups", "4"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.out, HasSubstr("2 bits, trained"));
  const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(Forms(*packed), UnorderedElementsAre("h.0.weight:2", "h.1.weight:3"));
  const float sorted[] = {-0.03f, -0.01f, 0.011f, 0.031f};
  EXPECT_EQ(packed->palettes()[0].table_dtype, DType::kF32);
  EXPECT_EQ(std::memcmp(packed->View(0).table, sorted, sizeof sorted), 0);
  ASSERT_EQ(packed->dense().size(), 1u) << "the table of a weight that is not there is a tensor like others";
  EXPECT_EQ(packed->dense()[0].name, "dkm.other.centroids");
  ASSERT_EQ(Palettize({in_, out_, "--skip", "h.0"}).exit_code, 0);
  EXPECT_EQ(PalettizedModel::Open(out_)->dense().size(), 3u) << "a skipped weight keeps its table beside it";
  const Ran dropped = Palettize({in_, out_, "--drop", "^(optimizer|dkm)\\.", "--bits", "4", "--min-size", "1"});
  ASSERT_EQ(dropped.exit_code, 0) << dropped.errors;
  EXPECT_THAT(dropped.out, HasSubstr("2 tensors dropped"));
  EXPECT_THAT(Forms(*PalettizedModel::Open(out_)), UnorderedElementsAre("h.0.weight:4", "h.1.weight:4"))
      << "a table that is left out is nobody's";
}

TEST_F(PalettizeCommand, RefusesTablesWhoseScalesAreDropped) {
  TensorList model;
  model.AddNormal("w", DType::kF32, {2, 8});
  model.Add("dkm.w.centroids", DType::kF32, {2}, std::vector<float>{-1, 1});
  model.Add("dkm.w.channel_scales", DType::kF32, {2}, std::vector<float>{1, 0.5f});
  ASSERT_EQ(model.Write(in_), OkStatus());
  const Ran ran = Palettize({in_, out_, "--drop", "scales"});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.errors, HasSubstr("tensor dkm.w.centroids is for rows over their scales, which --drop leaves out"));
  EXPECT_EQ(Palettize({in_, out_, "--drop", "^dkm"}).exit_code, 0);
}

// Of 5 rows by 2 the last group has one; each row's table is its group's, times its scale.
TEST_F(PalettizeCommand, KeepsTrainedTablesOfGroupsAndTheirScales) {
  const std::vector<float> tables = {-1, 1, -2, 2, -3, 4}, scales = {1, 0.5f, 2, 4, 8};
  for (const bool scaled : {false, true}) {
    TensorList model;
    model.AddNormal("w", DType::kF32, {5, 8});
    model.Add("dkm.w.centroids", DType::kF32, {3, 2}, tables);
    if (scaled) model.Add("dkm.w.channel_scales", DType::kF32, {5}, scales);
    ASSERT_EQ(model.Write(in_, {{"dkm.w.group_rows", "2"}, {"other", "text"}}), OkStatus());
    const Ran ran = Palettize({in_, out_, "--table-type", "f16", "--groups", "4"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    EXPECT_THAT(ran.out, HasSubstr(scaled ? "1 bit, 5 tables, trained" : "1 bit, 3 tables, trained"));
    const StatusOr<PalettizedModel> packed = PalettizedModel::Open(out_);
    ASSERT_TRUE(packed.ok()) << packed.status();
    EXPECT_TRUE(packed->dense().empty());
    EXPECT_EQ(packed->metadata(), (std::map<std::string, std::string>{{"other", "text"}}));
    const std::vector<float> by_row = {-1, 1, -0.5f, 0.5f, -4, 4, -8, 8, -24, 32};
    const std::vector<float>& expected = scaled ? by_row : tables;
    ASSERT_EQ(packed->View(0).shape.table_values(), static_cast<std::int64_t>(expected.size()));
    EXPECT_EQ(std::memcmp(packed->View(0).table, expected.data(), expected.size() * sizeof(float)), 0);
    ASSERT_EQ(Palettize({in_, out_, "--skip", "w"}).exit_code, 0);
    EXPECT_EQ(PalettizedModel::Open(out_)->dense().size(), scaled ? 3u : 2u);
    EXPECT_EQ(PalettizedModel::Open(out_)->metadata().count("dkm.w.group_rows"), 1u);
  }
}

TEST_F(PalettizeCommand, NamesTrainedTablesThatDoNotFitTheirGroups) {
  const auto line = [&](const std::vector<std::int64_t>& tables, const std::string& group_rows,
                        const std::vector<std::int64_t>& scales) {
    TensorList model;
    model.AddNormal("w", DType::kF32, {5, 8});
    model.AddNormal("dkm.w.centroids", DType::kF32, tables);
    if (!scales.empty()) model.AddNormal("dkm.w.channel_scales", DType::kF32, scales);
    EXPECT_EQ(model.Write(in_, {{"dkm.w.group_rows", group_rows}}), OkStatus());
    return Palettize({in_, out_});
  };
  ExpectOneLine(line({4, 2}, "2", {}), 3, "dkm.w.centroids has tables for 4 groups; 5 rows by 2 are 3");
  ExpectOneLine(line({6}, "2", {}), 3, "centroids, a power of two, for each group, in two dimensions,");
  for (const char* wrong : {"0", "-2", "two", "", "99999999999999999999", "2 "}) {
    ExpectOneLine(line({3, 2}, wrong, {}), 3, "dkm.w.group_rows of the metadata should be a number of rows");
  }
  ExpectOneLine(line({3, 2}, "2", {4}), 3, "dkm.w.channel_scales should be 5 float32 scales, one for each row");
  ExpectOneLine(line({3, 2}, "2", {5, 1}), 3, "dkm.w.channel_scales should be 5 float32 scales, one for each row");
}

TEST_F(PalettizeCommand, UnusableInputIsExitCode3AndLeavesTheOutput) {
  WriteWhole(out_, "old");
  ExpectOneLine(Palettize({in_, out_}), 3, in_ + ": cannot be opened: No such file");
  ExpectOneLine(Palettize({folder_.path(), out_}), 3, "is not a regular file");
  WriteWhole(in_, "no model at all");
  ExpectOneLine(Palettize({in_, out_}), 3, in_ + ": the header is said to have");
  ExpectOneLine(Palettize({in_, out_, "--unpack"}), 3, in_ + ": the header is said to have");
  ASSERT_EQ(SmallModel().Write(in_), OkStatus());
  ExpectOneLine(Palettize({in_, out_, "--unpack"}), 3, in_ + ": has no palettes");
  TensorList bad;
  std::vector<float> values(4096, 0.5f);
  values[130] = -INFINITY;
  bad.Add("h.0.weight", DType::kBF16, {64, 64}, values);
  ASSERT_EQ(bad.Write(in_), OkStatus());
  ExpectOneLine(Palettize({in_, out_}), 3, in_ + ": tensor h.0.weight: value 130, at [2,2], is NaN or infinite");
  // The last is four centroids of two dimensions each, as DKM has them for vectors.
  for (const std::vector<std::int64_t>& sizes : std::vector<std::vector<std::int64_t>>{{5}, {8, 1}, {4, 2}}) {
    TensorList table;
    table.AddNormal("w", DType::kF32, {4, 4});
    table.AddNormal("dkm.w.centroids", DType::kF32, sizes);
    ASSERT_EQ(table.Write(in_), OkStatus());
    ExpectOneLine(Palettize({in_, out_}), 3,
                  "tensor dkm.w.centroids should be 2 to 256 float32 centroids, a power of two, in one dimension,");
  }
  TensorList name;
  name.AddNormal(std::string(2000, 'n'), DType::kF32, {64, 64});
  ASSERT_EQ(name.Write(in_), OkStatus());
  ExpectOneLine(Palettize({in_, out_}), 3, "has a name of more than 1024 bytes");
  EXPECT_EQ(ReadWhole(out_), "old");
  EXPECT_THAT(folder_.names(), UnorderedElementsAre("in.safetensors", "out.safetensors"));
}

TEST_F(PalettizeCommand, RefusesAPalettizedModelAndAClashOfNames) {
  TensorList model;
  model.AddNormal("w", DType::kF32, {64, 64});
  ASSERT_EQ(model.Write(in_), OkStatus());
  ASSERT_EQ(Palettize({in_, out_}).exit_code, 0);
  ExpectOneLine(Palettize({out_, dense_}), 3, out_ + ": is palettized already");
  model.AddNormal("w.indices", DType::kF32, {3});
  ASSERT_EQ(model.Write(in_), OkStatus());
  ExpectOneLine(Palettize({in_, dense_}), 1, "tensor name \"w.indices\" is there twice");
}

TEST_F(PalettizeCommand, AnOutputThatCannotBeWrittenIsExitCode1) {
  ASSERT_EQ(SmallModel().Write(in_), OkStatus());
  ExpectOneLine(Palettize({in_, folder_ / "none/out"}), 1, "none/out");
  WriteWhole(out_, "old");
  // A limit on the size of files stands for a full disk.
  const Ran full =
      RunProgramAt("/bin/bash", {"-c", "ulimit -f 16; exec \"$0\" \"$@\"", TIERLIB_PALETTIZE_PROGRAM, in_, out_});
  ExpectOneLine(full, 1, out_ + ": cannot get ");
  EXPECT_EQ(ReadWhole(out_), "old");
  EXPECT_THAT(folder_.names(), UnorderedElementsAre("in.safetensors", "out.safetensors"));
  const Ran deaf = RunProgramAt(TIERLIB_PALETTIZE_PROGRAM, {in_, out_}, "/dev/null", "/dev/full");
  EXPECT_EQ(deaf.exit_code, 1);
  EXPECT_THAT(deaf.errors, HasSubstr("cannot write to standard output; the model is written"));
}

// A table of 256 values for each of 128 rows takes seconds; the signal comes long before the last.
TEST_F(PalettizeCommand, ASignalBetweenWeightsLeavesNothing) {
  TensorList model;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"}) model.AddNormal(name, DType::kF32, {16, 4096});
  ASSERT_EQ(model.Write(in_), OkStatus());
  WriteWhole(out_, "old");
  ExpectOneLine(StoppedBy("INT", folder_.path(), {in_, out_, "--bits", "8", "--groups", "1"}), 130,
                "stopped by SIGINT before tensor ");
  EXPECT_EQ(ReadWhole(out_), "old");
  EXPECT_THAT(folder_.names(), UnorderedElementsAre("in.safetensors", "out.safetensors"));
}

// One weight of 512 MiB, of which a few MiB are written when the signal is seen.
TEST_F(PalettizeCommand, ASignalBetweenPiecesLeavesNothing) {
  const PalettizedTensor weight = {"w", DType::kF32, {4096, 32768}, *MakePaletteShape({4096, 32768}, 1, 0)};
  const std::vector<char> indices(static_cast<std::size_t>(weight.shape.index_bytes()));
  const float table[] = {-1, 1};
  ASSERT_EQ(io::WriteSafetensors(in_,
                                 {{weight.Indices().name, DType::kU8, weight.Indices().sizes, indices.data()},
                                  {weight.Table().name, DType::kF32, weight.Table().sizes, table}},
                                 {{kPalettizedKey, DescribePalettized({weight})}}),
            OkStatus());
  for (const auto& [name, exit_code] : {std::pair<const char*, int>{"TERM", 143}, {"HUP", 129}}) {
    struct sigaction here = {};
    if (exit_code == 129 && sigaction(SIGHUP, nullptr, &here) == 0 && here.sa_handler == SIG_IGN) continue;  // nohup
    ExpectOneLine(StoppedBy(name, folder_.path(), {in_, dense_, "--unpack"}), exit_code,
                  std::string("stopped by SIG") + name + " within tensor w; nothing was written");
    EXPECT_THAT(folder_.names(), UnorderedElementsAre("in.safetensors"));
  }
}

}  // namespace
}  // namespace tierlib::dkm
