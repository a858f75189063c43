// PalettizedModel: holds the description of the palettes against the tensors that are there.
#include "tierlib/dkm/palettized_model.h"

#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "dkm/palette_shape.h"
#include "dkm/palettized_description.h"
#include "io/errno_status.h"
#include "tierlib/io/safetensors_model.h"

namespace tierlib::dkm {

// I1: `indices` and `tables` are, palette by palette, the tensors of the file that the palette is in, and have the
// sizes that its shape says.
struct PalettizedModel::State {
  using FileTensor = io::SafetensorsModel::Tensor;

  explicit State(io::SafetensorsModel opened) : model(std::move(opened)) {}

  io::SafetensorsModel model;
  std::vector<PalettizedTensor> palettes;
  std::vector<FileTensor> indices;
  std::vector<FileTensor> tables;
  std::vector<io::TensorEntry> dense;
  std::vector<FileTensor> dense_tensors;
  std::map<std::string, std::string> metadata;

  Status Bind() {
    metadata = model.metadata();
    const auto text = metadata.find(kPalettizedKey);
    if (text == metadata.end()) return FailedPreconditionError("has no palettes: tierlib-palettize makes such files");
    if (!model.MetadataAgrees(kPalettizedKey)) {
      return DataLossError(
          "has files with different texts under \"tierlib.palettized\": one of them, or all alike, should describe all "
          "palettes");
    }
    TIERLIB_ASSIGN_OR_RETURN(palettes, ParsePalettized(text->second));
    metadata.erase(text);
    std::unordered_map<std::string, const FileTensor*> by_name;
    for (const FileTensor& tensor : model.tensors()) by_name.emplace(tensor.entry.name, &tensor);
    for (PalettizedTensor& palette : palettes) {
      const auto find = [&](const std::string& name) {
        const auto found = by_name.find(name);
        return found == by_name.end() ? nullptr : found->second;
      };
      TIERLIB_RETURN_IF_ERROR(
          BindOne(palette, find(palette.name), find(palette.Indices().name), find(palette.Table().name)));
    }
    std::unordered_set<std::string> used;
    for (const auto* bound : {&indices, &tables}) {
      for (const FileTensor& tensor : *bound) {
        if (used.insert(tensor.entry.name).second) continue;
        return DataLossError("tensor \"" + io::Printable(tensor.entry.name) + "\" belongs to two palettes");
      }
    }
    for (const FileTensor& tensor : model.tensors()) {
      if (used.count(tensor.entry.name) != 0) continue;
      dense.push_back(tensor.entry);
      dense_tensors.push_back(tensor);
    }
    return OkStatus();
  }

  Status BindOne(PalettizedTensor& palette, const FileTensor* itself, const FileTensor* of_indices,
                 const FileTensor* of_table) {
    const auto wrong = [&](const std::string& what) {
      return DataLossError("palettized tensor \"" + io::Printable(palette.name) + "\" " + what);
    };
    if (itself != nullptr) return wrong("is there as a dense tensor too");
    if (of_indices == nullptr) return wrong(std::string("lacks its ") + kIndicesSuffix);
    if (of_table == nullptr) return wrong(std::string("lacks its ") + kTableSuffix);
    if (!IsPaletteType(of_table->entry.dtype)) return wrong("has a table that is not F32, BF16 or F16");
    palette.table_dtype = of_table->entry.dtype;
    const io::TensorEntry expected = palette.Indices();
    if (of_indices->entry.dtype != expected.dtype || of_indices->entry.sizes != expected.sizes) {
      return wrong("should have indices of type U8 and shape [" + std::to_string(palette.shape.rows) + "," +
                   std::to_string(palette.shape.row_bytes()) + "]");
    }
    if (of_table->entry.sizes != palette.Table().sizes) {
      return wrong("should have a table of shape [" + std::to_string(palette.shape.groups()) + "," +
                   std::to_string(palette.shape.clusters()) + "]");
    }
    for (const float value : ReadTables({palette.shape, nullptr, of_table->entry.dtype, model.Data(*of_table)})) {
      if (!std::isfinite(value)) return wrong("has a table value that is NaN or infinite");
    }
    indices.push_back(*of_indices);
    tables.push_back(*of_table);
    return OkStatus();
  }
};

PalettizedModel::PalettizedModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
PalettizedModel::PalettizedModel(PalettizedModel&&) noexcept = default;
PalettizedModel& PalettizedModel::operator=(PalettizedModel&&) noexcept = default;
PalettizedModel::~PalettizedModel() = default;

StatusOr<PalettizedModel> PalettizedModel::Open(const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(io::SafetensorsModel model, io::SafetensorsModel::Open(path));
  auto state = std::make_unique<State>(std::move(model));
  const Status bound = state->Bind();
  if (!bound.ok()) return Status(bound.code(), io::Printable(path) + ": " + std::string(bound.message()));
  return PalettizedModel(std::move(state));
}

const std::vector<PalettizedTensor>& PalettizedModel::palettes() const { return state_->palettes; }
const std::vector<io::TensorEntry>& PalettizedModel::dense() const { return state_->dense; }
const std::map<std::string, std::string>& PalettizedModel::metadata() const { return state_->metadata; }

PaletteView PalettizedModel::View(std::size_t palette) const {
  const PalettizedTensor& tensor = state_->palettes[palette];
  return {tensor.shape, state_->model.Data(state_->indices[palette]), tensor.table_dtype,
          state_->model.Data(state_->tables[palette])};
}
const void* PalettizedModel::Data(std::size_t dense) const { return state_->model.Data(state_->dense_tensors[dense]); }
void PalettizedModel::ReleasePalette(std::size_t palette) const { state_->model.Release(state_->indices[palette]); }
void PalettizedModel::ReleaseDense(std::size_t dense) const { state_->model.Release(state_->dense_tensors[dense]); }

}  // namespace tierlib::dkm
