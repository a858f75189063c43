// A model into palettes, tensor by tensor: while one is worked on the system reads the next, and what is done leaves
// memory.
#include <cstdio>
#include <cstring>
#include <utility>

#include "commands.h"
#include "plan.h"
#include "progress.h"
#include "report.h"
#include "stop.h"
#include "tierlib/dkm/palette.h"
#include "tierlib/io/safetensors_writer.h"
#include "trace_viewer/exit_codes.h"
#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

using trace_viewer::kFindings;
using trace_viewer::kOk;
using trace_viewer::kUnreadable;

std::vector<io::TensorEntry> Entries(const Plan& plan) {
  std::vector<io::TensorEntry> entries;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.packed) {
      entries.push_back(tensor.palette.Table());
      entries.push_back(tensor.palette.Indices());
    } else {
      entries.push_back(tensor.source->entry);
    }
  }
  return entries;
}

std::map<std::string, std::string> Metadata(const io::SafetensorsModel& model, const Plan& plan) {
  std::map<std::string, std::string> metadata = model.metadata();
  std::vector<dkm::PalettizedTensor> palettes;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.packed) palettes.push_back(tensor.palette);
    if (tensor.trained != nullptr) metadata.erase(GroupRowsKey(tensor.source->entry.name));  // the description says it
  }
  metadata[dkm::kPalettizedKey] = dkm::DescribePalettized(palettes);
  return metadata;
}

class Packer {
 public:
  Packer(const PalettizeOptions& options, const io::SafetensorsModel& model, io::SafetensorsWriter& writer)
      : model_(model), writer_(writer), palettizer_(options.threads) {}

  // Writes one tensor and returns its row of the report. `readable` is set false where it is the input that is wrong.
  StatusOr<ReportRow> Pack(const PlannedTensor& tensor, bool* readable) {
    const io::TensorEntry& entry = tensor.source->entry;
    ReportRow row{trace_viewer::Printable(entry.name), entry.sizes, "", -1, entry.bytes, entry.bytes};
    if (!tensor.packed) {
      row.form = std::string("dense: ") + tensor.kept_dense;
      TIERLIB_RETURN_IF_ERROR(writer_.Write(entry.name, 0, model_.Data(*tensor.source), entry.bytes));
    } else {
      const dkm::PaletteShape& shape = tensor.palette.shape;
      StatusOr<dkm::Palette> palette = MakePalette(tensor);
      *readable = palette.ok();
      if (!palette.ok()) return palette.status();
      row.form = std::to_string(shape.bits) + (shape.bits == 1 ? " bit" : " bits");
      if (shape.groups() > 1)
        row.form += ", " + trace_viewer::FormatCount(static_cast<std::uint64_t>(shape.groups()), "table");
      if (tensor.trained != nullptr) row.form += ", trained";
      row.error = palette->RelativeError();
      row.bytes_out = palette->indices.size() + palette->table.size();
      TIERLIB_RETURN_IF_ERROR(
          writer_.Write(tensor.palette.Indices().name, 0, palette->indices.data(), palette->indices.size()));
      TIERLIB_RETURN_IF_ERROR(
          writer_.Write(tensor.palette.Table().name, 0, palette->table.data(), palette->table.size()));
    }
    return row;
  }

 private:
  StatusOr<dkm::Palette> MakePalette(const PlannedTensor& tensor) {
    const io::TensorEntry& entry = tensor.source->entry;
    const dkm::PaletteShape& shape = tensor.palette.shape;
    const dkm::DenseWeight weight{trace_viewer::Printable(entry.name, 200), entry.dtype, entry.sizes,
                                  model_.Data(*tensor.source)};
    const dkm::PaletteOptions options{shape.bits, shape.group_rows, tensor.palette.table_dtype};
    if (tensor.trained == nullptr) return palettizer_.Cluster(weight, options);
    return palettizer_.Assign(weight, options, TrainedTables(tensor));
  }

  // As the palette has them: those of each group, or for scaled rows one for each row.
  std::vector<float> TrainedTables(const PlannedTensor& tensor) const {
    const dkm::PaletteShape& shape = tensor.palette.shape;
    const std::int64_t clusters = shape.clusters();
    std::vector<float> trained(static_cast<std::size_t>(tensor.trained->entry.bytes / sizeof(float)));
    std::memcpy(trained.data(), model_.Data(*tensor.trained), trained.size() * sizeof(float));
    if (tensor.scales == nullptr) return trained;
    std::vector<float> scales(static_cast<std::size_t>(shape.rows));
    std::memcpy(scales.data(), model_.Data(*tensor.scales), scales.size() * sizeof(float));
    std::vector<float> tables;
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      const float* table = trained.data() + row / tensor.trained_group_rows * clusters;
      for (std::int64_t j = 0; j < clusters; ++j) tables.push_back(table[j] * scales[static_cast<std::size_t>(row)]);
    }
    return tables;
  }

  const io::SafetensorsModel& model_;
  io::SafetensorsWriter& writer_;
  dkm::Palettizer palettizer_;
};

// The first status that is not OK, where `*readable` tells whose fault it is.
Status PackAll(const PalettizeOptions& options, const io::SafetensorsModel& model, const Plan& plan,
               io::SafetensorsWriter& writer, Report& report, bool* readable) {
  Packer packer(options, model, writer);
  Progress progress(model.bytes());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& tensor = plan.tensors[i];
    TIERLIB_RETURN_IF_ERROR(CheckNotStopped("before tensor ", tensor.source->entry.name));
    if (i + 1 < plan.tensors.size()) model.Prefetch(*plan.tensors[i + 1].source);
    progress.Advance(0, tensor.source->entry.name);
    TIERLIB_ASSIGN_OR_RETURN(ReportRow row, packer.Pack(tensor, readable));
    report.rows.push_back(std::move(row));
    model.Release(*tensor.source);
    progress.Advance(tensor.source->entry.bytes, "");
  }
  TIERLIB_RETURN_IF_ERROR(CheckNotStopped("before the end"));
  TIERLIB_RETURN_IF_ERROR(writer.Commit());
  report.seconds = progress.seconds();
  report.file_bytes = writer.file_bytes();
  return OkStatus();
}

}  // namespace

int Fail(int exit_code, const std::string& what) {
  std::fprintf(stderr, "tierlib-palettize: %s\n", what.c_str());
  return exit_code;
}

int FailWriting(const Status& status) {
  return Fail(status.code() == StatusCode::kCancelled ? StoppedExitCode() : kFindings, std::string(status.message()));
}

int RunPack(const PalettizeOptions& options) {
  const StatusOr<io::SafetensorsModel> model = io::SafetensorsModel::Open(options.input);
  if (!model.ok()) return Fail(kUnreadable, std::string(model.status().message()));
  const std::string input = trace_viewer::Printable(options.input, 200) + ": ";
  const StatusOr<Plan> plan = MakePlan(options, *model);
  if (!plan.ok()) return Fail(kUnreadable, input + std::string(plan.status().message()));
  StatusOr<io::SafetensorsWriter> writer =
      io::SafetensorsWriter::Create(options.output, Entries(*plan), Metadata(*model, *plan));
  if (!writer.ok()) return Fail(kFindings, std::string(writer.status().message()));
  Report report;
  bool readable = true;
  const Status status = PackAll(options, *model, *plan, *writer, report, &readable);
  if (!readable) return Fail(kUnreadable, input + std::string(status.message()));
  if (!status.ok()) return FailWriting(status);
  std::string text = report.Text();
  if (plan->dropped > 0) text += trace_viewer::FormatCount(plan->dropped, "tensor") + " dropped\n";
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return Fail(kFindings, "cannot write to standard output; the model is written");
  }
  return kOk;
}

}  // namespace tierlib::palettize
