// A model whose weights are palettes, in safetensors files. docs/palettized_format.md is the format.
#ifndef TIERLIB_DKM_PALETTIZED_MODEL_H_
#define TIERLIB_DKM_PALETTIZED_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/dkm/palette.h"
#include "tierlib/io/safetensors.h"
#include "tierlib/status.h"

namespace tierlib::dkm {

// The key of the files' metadata under which the description of the palettes stands.
inline constexpr char kPalettizedKey[] = "tierlib.palettized";

// What the format knows of one palettized weight.
struct PalettizedTensor {
  std::string name;
  DType dtype = DType::kF32;        // of the dense weight
  std::vector<std::int64_t> sizes;  // of the dense weight
  PaletteShape shape;
  DType table_dtype = DType::kF32;

  // The two tensors that it is in a file.
  io::TensorEntry Indices() const;  // "NAME.indices", U8, [rows, row_bytes]
  io::TensorEntry Table() const;    // "NAME.table", [groups, 2^bits]
};

// The text that belongs under kPalettizedKey.
std::string DescribePalettized(const std::vector<PalettizedTensor>& tensors);

// An open model, checked whole: what the description says of a weight is what its two tensors are. Bytes are mapped,
// not read.
//
// Thread-safety: const members from any thread.
class PalettizedModel {
 public:
  // A file or an index of shards (safetensors_model.h). FailedPrecondition where it has no palettes; Unimplemented for
  // a later version of the format; DataLoss where files have different descriptions, or with the name of a weight and
  // what is wrong with it; errors of SafetensorsModel.
  static StatusOr<PalettizedModel> Open(const std::string& path);
  PalettizedModel(PalettizedModel&&) noexcept;
  PalettizedModel& operator=(PalettizedModel&&) noexcept;
  ~PalettizedModel();

  const std::vector<PalettizedTensor>& palettes() const;       // by name
  const std::vector<io::TensorEntry>& dense() const;           // all others, in file order
  const std::map<std::string, std::string>& metadata() const;  // without kPalettizedKey

  // By place in palettes() and dense(). Valid for the life of the model, at any alignment.
  PaletteView View(std::size_t palette) const;
  const void* Data(std::size_t dense) const;
  // As SafetensorsModel::Release.
  void ReleasePalette(std::size_t palette) const;
  void ReleaseDense(std::size_t dense) const;

 private:
  struct State;
  explicit PalettizedModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_DKM_PALETTIZED_MODEL_H_
