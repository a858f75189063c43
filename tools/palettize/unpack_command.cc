// Palettes into a dense model that any reader of safetensors loads.
#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "commands.h"
#include "progress.h"
#include "report.h"
#include "stop.h"
#include "tierlib/dkm/palettized_model.h"
#include "tierlib/io/safetensors_writer.h"
#include "trace_viewer/exit_codes.h"
#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

using trace_viewer::kFindings;
using trace_viewer::kOk;
using trace_viewer::kUnreadable;

// Bytes that are made at a time, about: whole rows.
constexpr std::int64_t kPiece = 1 << 20;

std::uint64_t DenseBytes(const dkm::PalettizedTensor& tensor) {
  return static_cast<std::uint64_t>(tensor.shape.rows * tensor.shape.columns) * ElementBytes(tensor.dtype);
}

std::uint64_t PackedBytes(const dkm::PalettizedTensor& tensor) {
  return static_cast<std::uint64_t>(tensor.shape.index_bytes()) +
         static_cast<std::uint64_t>(tensor.shape.table_values()) * ElementBytes(tensor.table_dtype);
}

class Unpacker {
 public:
  Unpacker(const dkm::PalettizedModel& model, io::SafetensorsWriter& writer, int threads)
      : model_(model), writer_(writer), palettizer_(threads) {}

  Status Unpack(std::size_t number) {
    const dkm::PalettizedTensor& tensor = model_.palettes()[number];
    const dkm::PaletteShape& shape = tensor.shape;
    if (shape.columns == 0) return OkStatus();
    const std::int64_t row_bytes = shape.columns * static_cast<std::int64_t>(ElementBytes(tensor.dtype));
    // Rows of one group, or whole groups, so that a piece is a palette of its own.
    const std::int64_t fitting = std::max<std::int64_t>(kPiece / row_bytes, 1);
    const std::int64_t rows =
        shape.groups() == 1 ? fitting : std::max<std::int64_t>(fitting / shape.group_rows, 1) * shape.group_rows;
    for (std::int64_t row = 0; row < shape.rows; row += rows) {
      TIERLIB_RETURN_IF_ERROR(CheckNotStopped("within tensor ", tensor.name));
      const std::int64_t count = std::min(rows, shape.rows - row);
      dkm::PaletteView piece = model_.View(number);
      piece.shape.rows = count;
      piece.indices = static_cast<const char*>(piece.indices) + row * shape.row_bytes();
      piece.table =
          static_cast<const char*>(piece.table) +
          row / shape.group_rows * shape.clusters() * static_cast<std::int64_t>(ElementBytes(piece.table_dtype));
      dense_.resize(static_cast<std::size_t>(count * row_bytes));
      TIERLIB_RETURN_IF_ERROR(palettizer_.Unpack(piece, tensor.dtype, dense_.data()));
      TIERLIB_RETURN_IF_ERROR(
          writer_.Write(tensor.name, static_cast<std::uint64_t>(row * row_bytes), dense_.data(), dense_.size()));
    }
    return OkStatus();
  }

 private:
  const dkm::PalettizedModel& model_;
  io::SafetensorsWriter& writer_;
  dkm::Palettizer palettizer_;
  std::vector<char> dense_;
};

Status UnpackAll(const PalettizeOptions& options, const dkm::PalettizedModel& model, io::SafetensorsWriter& writer,
                 Report& report) {
  std::uint64_t total = 0;
  for (const dkm::PalettizedTensor& tensor : model.palettes()) total += PackedBytes(tensor);
  for (const io::TensorEntry& entry : model.dense()) total += entry.bytes;
  Progress progress(total);
  for (std::size_t i = 0; i < model.dense().size(); ++i) {
    const io::TensorEntry& entry = model.dense()[i];
    TIERLIB_RETURN_IF_ERROR(CheckNotStopped("before tensor ", entry.name));
    TIERLIB_RETURN_IF_ERROR(writer.Write(entry.name, 0, model.Data(i), entry.bytes));
    model.ReleaseDense(i);
    report.rows.push_back({entry.name, entry.sizes, "as it was", -1, entry.bytes, entry.bytes});
    progress.Advance(entry.bytes, entry.name);
  }
  Unpacker unpacker(model, writer, options.threads);
  for (std::size_t i = 0; i < model.palettes().size(); ++i) {
    const dkm::PalettizedTensor& tensor = model.palettes()[i];
    TIERLIB_RETURN_IF_ERROR(unpacker.Unpack(i));
    model.ReleasePalette(i);
    report.rows.push_back({tensor.name, tensor.sizes, std::to_string(tensor.shape.bits) + " bits unpacked", -1,
                           PackedBytes(tensor), DenseBytes(tensor)});
    progress.Advance(PackedBytes(tensor), tensor.name);
  }
  TIERLIB_RETURN_IF_ERROR(CheckNotStopped("before the end"));
  TIERLIB_RETURN_IF_ERROR(writer.Commit());
  report.seconds = progress.seconds();
  report.file_bytes = writer.file_bytes();
  return OkStatus();
}

}  // namespace

int RunUnpack(const PalettizeOptions& options) {
  const StatusOr<dkm::PalettizedModel> model = dkm::PalettizedModel::Open(options.input);
  if (!model.ok()) return Fail(kUnreadable, std::string(model.status().message()));
  std::vector<io::TensorEntry> entries = model->dense();
  for (const dkm::PalettizedTensor& tensor : model->palettes()) {
    entries.push_back({tensor.name, tensor.dtype, tensor.sizes});
  }
  StatusOr<io::SafetensorsWriter> writer = io::SafetensorsWriter::Create(options.output, entries, model->metadata());
  if (!writer.ok()) return Fail(kFindings, std::string(writer.status().message()));
  Report report;
  const Status status = UnpackAll(options, *model, *writer, report);
  if (!status.ok()) return FailWriting(status);
  if (std::fputs(report.Text().c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return Fail(kFindings, "cannot write to standard output; the model is written");
  }
  return kOk;
}

}  // namespace tierlib::palettize
