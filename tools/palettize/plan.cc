#include "plan.h"

#include <optional>
#include <regex>
#include <unordered_map>
#include <utility>

#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

using FileTensor = io::SafetensorsModel::Tensor;
using trace_viewer::Printable;

constexpr char kTrainedPrefix[] = "dkm.";
constexpr char kTrainedSuffix[] = ".centroids";
// The library's regular expressions recur with every character; models' names are a tenth of this.
constexpr std::size_t kLongestName = 1024;

class Pattern {
 public:
  explicit Pattern(const std::string& text) {
    if (!text.empty()) pattern_.emplace(text, std::regex::ECMAScript | std::regex::optimize);
  }
  bool Finds(const std::string& name) const { return pattern_.has_value() && std::regex_search(name, *pattern_); }

 private:
  std::optional<std::regex> pattern_;
};

// NAME of "dkm.NAME.centroids"; empty where it is another name.
std::string OwnerOfTable(const std::string& name) {
  const std::string prefix = kTrainedPrefix, suffix = kTrainedSuffix;
  if (name.size() <= prefix.size() + suffix.size() || name.compare(0, prefix.size(), prefix) != 0 ||
      name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) {
    return "";
  }
  return name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
}

std::int64_t Elements(const io::TensorEntry& entry) {
  return static_cast<std::int64_t>(entry.bytes / ElementBytes(entry.dtype));
}

bool CanBePacked(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }

// Bits of a trained table, or 0 where its type, shape or size is no table's: of k centroids of d dimensions each there
// are k * d values too.
int BitsOfTable(const io::TensorEntry& table) {
  if (table.dtype != DType::kF32 || table.sizes.size() != 1) return 0;
  for (int bits = 1; bits <= 8; ++bits) {
    if (Elements(table) == std::int64_t{1} << bits) return bits;
  }
  return 0;
}

class Planner {
 public:
  Planner(const PalettizeOptions& options, const io::SafetensorsModel& model)
      : options_(options), embedding_(options.embedding), skip_(options.skip), drop_(options.drop) {
    std::unordered_map<std::string, const FileTensor*> by_name;
    for (const FileTensor& tensor : model.tensors()) by_name.emplace(tensor.entry.name, &tensor);
    for (const FileTensor& tensor : model.tensors()) {
      const std::string owner = OwnerOfTable(tensor.entry.name);
      if (owner.empty() || by_name.count(owner) == 0 || drop_.Finds(tensor.entry.name)) continue;
      trained_.emplace(owner, &tensor);
    }
  }

  // False where the tensor is no part of the output: it is dropped, or a table of another.
  bool IsPart(const FileTensor& tensor, Plan& plan) const {
    if (drop_.Finds(tensor.entry.name)) {
      ++plan.dropped;
      return false;
    }
    const std::string owner = OwnerOfTable(tensor.entry.name);
    return owner.empty() || trained_.count(owner) == 0 || skip_.Finds(owner);
  }

  StatusOr<PlannedTensor> Decide(const FileTensor& tensor) const {
    PlannedTensor planned;
    planned.source = &tensor;
    const io::TensorEntry& entry = tensor.entry;
    const auto trained = trained_.find(entry.name);
    if (skip_.Finds(entry.name)) {
      planned.kept_dense = "skipped";
      return planned;
    }
    if (trained != trained_.end()) return Trained(std::move(planned), *trained->second);
    planned.kept_dense = !CanBePacked(entry.dtype)             ? "type"
                         : entry.sizes.size() < 2              ? "vector"
                         : Elements(entry) < options_.min_size ? "small"
                                                               : "";
    if (*planned.kept_dense != '\0') return planned;
    return Packed(std::move(planned), embedding_.Finds(entry.name) ? options_.embedding_bits : options_.bits,
                  options_.group_rows);
  }

 private:
  StatusOr<PlannedTensor> Trained(PlannedTensor planned, const FileTensor& table) const {
    const io::TensorEntry& entry = planned.source->entry;
    const int bits = BitsOfTable(table.entry);
    if (bits == 0 || !CanBePacked(entry.dtype) || entry.bytes == 0) {
      return InvalidArgumentError(
          "tensor " + Printable(table.entry.name, 200) +
          " should be 2 to 256 float32 centroids, a power of two, in one dimension, of a float tensor with values");
    }
    planned.trained = &table;
    StatusOr<PlannedTensor> packed = Packed(std::move(planned), bits, 0);
    // What was trained is kept to the bit.
    if (packed.ok()) packed->palette.table_dtype = DType::kF32;
    return packed;
  }

  StatusOr<PlannedTensor> Packed(PlannedTensor planned, int bits, std::int64_t group_rows) const {
    const io::TensorEntry& entry = planned.source->entry;
    const StatusOr<dkm::PaletteShape> shape = dkm::MakePaletteShape(entry.sizes, bits, group_rows);
    if (!shape.ok()) {
      return Status(shape.status().code(),
                    "tensor " + Printable(entry.name, 200) + ": " + std::string(shape.status().message()));
    }
    planned.packed = true;
    planned.palette = {entry.name, entry.dtype, entry.sizes, *shape, options_.table_dtype};
    return planned;
  }

  const PalettizeOptions& options_;
  const Pattern embedding_;
  const Pattern skip_;
  const Pattern drop_;
  std::unordered_map<std::string, const FileTensor*> trained_;  // name of the weight -> its table
};

}  // namespace

StatusOr<Plan> MakePlan(const PalettizeOptions& options, const io::SafetensorsModel& model) {
  if (model.metadata().count(dkm::kPalettizedKey) != 0) {
    return FailedPreconditionError("is palettized already; --unpack makes it dense again");
  }
  for (const FileTensor& tensor : model.tensors()) {  // before any expression sees one
    if (tensor.entry.name.size() > kLongestName) {
      return InvalidArgumentError("tensor " + Printable(tensor.entry.name) + " has a name of more than " +
                                  std::to_string(kLongestName) + " bytes");
    }
  }
  const Planner planner(options, model);
  Plan plan;
  for (const FileTensor& tensor : model.tensors()) {
    if (!planner.IsPart(tensor, plan)) continue;
    TIERLIB_ASSIGN_OR_RETURN(PlannedTensor planned, planner.Decide(tensor));
    plan.tensors.push_back(std::move(planned));
  }
  return plan;
}

}  // namespace tierlib::palettize
