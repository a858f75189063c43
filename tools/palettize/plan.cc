#include "plan.h"

#include <charconv>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <unordered_map>
#include <utility>

#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

using FileTensor = io::SafetensorsModel::Tensor;
using trace_viewer::Printable;

constexpr char kTrainedPrefix[] = "dkm.";
constexpr char kTrainedSuffix[] = ".centroids";
constexpr char kScalesSuffix[] = ".channel_scales";
constexpr char kGroupRowsSuffix[] = ".group_rows";  // of a key of the metadata
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

// NAME of "dkm.NAME" and then `suffix`; empty where it is another name.
std::string OwnerOf(const std::string& name, const std::string& suffix) {
  const std::string prefix = kTrainedPrefix;
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

// Bits of trained tables, or 0 where their type, shape or size is no table's: of k centroids of d dimensions each there
// are k * d values too. `grouped`: there is one for each group.
int BitsOfTables(const io::TensorEntry& tables, bool grouped) {
  if (tables.dtype != DType::kF32 || tables.sizes.size() != (grouped ? 2u : 1u)) return 0;
  for (int bits = 1; bits <= 8; ++bits) {
    if (tables.sizes.back() == std::int64_t{1} << bits) return bits;
  }
  return 0;
}

// A whole number of at least 1, or 0.
std::int64_t Positive(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
}

class Planner {
 public:
  Planner(const PalettizeOptions& options, const io::SafetensorsModel& model)
      : options_(options),
        metadata_(model.metadata()),
        embedding_(options.embedding),
        skip_(options.skip),
        drop_(options.drop) {
    std::unordered_map<std::string, const FileTensor*> by_name;
    for (const FileTensor& tensor : model.tensors()) by_name.emplace(tensor.entry.name, &tensor);
    for (const FileTensor& tensor : model.tensors()) {
      const std::string owner = OwnerOf(tensor.entry.name, kTrainedSuffix);
      const std::string scaled = OwnerOf(tensor.entry.name, kScalesSuffix);
      if (drop_.Finds(tensor.entry.name)) {
        if (!scaled.empty()) without_scales_.insert(scaled);
        continue;
      }
      if (by_name.count(owner) != 0) trained_.emplace(owner, &tensor);
      if (by_name.count(scaled) != 0) scales_.emplace(scaled, &tensor);
    }
  }

  // False where the tensor is no part of the output: it is dropped, or a table of another.
  bool IsPart(const FileTensor& tensor, Plan& plan) const {
    if (drop_.Finds(tensor.entry.name)) {
      ++plan.dropped;
      return false;
    }
    for (const char* suffix : {kTrainedSuffix, kScalesSuffix}) {
      const std::string owner = OwnerOf(tensor.entry.name, suffix);
      if (!owner.empty() && trained_.count(owner) != 0 && !skip_.Finds(owner)) return false;
    }
    return true;
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
    const std::string who = "tensor " + Printable(table.entry.name, 200);
    const auto grouped = metadata_.find(GroupRowsKey(entry.name));
    const bool has_groups = grouped != metadata_.end();
    const int bits = BitsOfTables(table.entry, has_groups);
    if (bits == 0 || !CanBePacked(entry.dtype) || entry.bytes == 0) {
      return InvalidArgumentError(who + " should be 2 to 256 float32 centroids, a power of two, " +
                                  (has_groups ? "for each group, in two dimensions" : "in one dimension") +
                                  ", of a float tensor with values");
    }
    const std::int64_t group_rows = has_groups ? Positive(grouped->second) : 0;
    if (has_groups && group_rows == 0) {
      return InvalidArgumentError(who + ": " + Printable(grouped->first, 200) +
                                  " of the metadata should be a number of rows");
    }
    if (without_scales_.count(entry.name) != 0) {
      return InvalidArgumentError(who +
                                  " is for rows over their scales, which --drop leaves out: drop both or neither");
    }
    planned.trained = &table;
    TIERLIB_ASSIGN_OR_RETURN(PlannedTensor packed, Packed(std::move(planned), bits, group_rows));
    const dkm::PaletteShape& shape = packed.palette.shape;
    if (has_groups && shape.groups() != table.entry.sizes[0]) {
      return InvalidArgumentError(who + " has tables for " + std::to_string(table.entry.sizes[0]) + " groups; " +
                                  std::to_string(shape.rows) + " rows by " + std::to_string(group_rows) + " are " +
                                  std::to_string(shape.groups()));
    }
    packed.trained_group_rows = shape.group_rows;
    const auto scales = scales_.find(entry.name);
    return scales == scales_.end() ? std::move(packed) : Scaled(std::move(packed), *scales->second);
  }

  // A table for each row, as the format has no scales.
  StatusOr<PlannedTensor> Scaled(PlannedTensor planned, const FileTensor& scales) const {
    const dkm::PaletteShape& shape = planned.palette.shape;
    if (scales.entry.dtype != DType::kF32 || scales.entry.sizes != std::vector<std::int64_t>{shape.rows}) {
      return InvalidArgumentError("tensor " + Printable(scales.entry.name, 200) + " should be " +
                                  std::to_string(shape.rows) + " float32 scales, one for each row");
    }
    planned.scales = &scales;
    return Packed(std::move(planned), shape.bits, 1);
  }

  StatusOr<PlannedTensor> Packed(PlannedTensor planned, int bits, std::int64_t group_rows) const {
    const io::TensorEntry& entry = planned.source->entry;
    const StatusOr<dkm::PaletteShape> shape = dkm::MakePaletteShape(entry.sizes, bits, group_rows);
    if (!shape.ok()) {
      return Status(shape.status().code(),
                    "tensor " + Printable(entry.name, 200) + ": " + std::string(shape.status().message()));
    }
    planned.packed = true;
    const DType table_dtype = planned.trained == nullptr ? options_.table_dtype : DType::kF32;  // kept to the bit
    planned.palette = {entry.name, entry.dtype, entry.sizes, *shape, table_dtype};
    return planned;
  }

  const PalettizeOptions& options_;
  const std::map<std::string, std::string>& metadata_;
  const Pattern embedding_;
  const Pattern skip_;
  const Pattern drop_;
  std::unordered_map<std::string, const FileTensor*> trained_;  // name of the weight -> its tables
  std::unordered_map<std::string, const FileTensor*> scales_;   // name of the weight -> scales of its rows
  std::set<std::string> without_scales_;                        // names of weights whose scales are left out
};

}  // namespace

std::string GroupRowsKey(const std::string& weight) { return kTrainedPrefix + weight + kGroupRowsSuffix; }

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
