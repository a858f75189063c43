// Palettes: weights stored as b-bit indices into small tables of values, about b bits a weight.
#ifndef TIERLIB_DKM_PALETTE_H_
#define TIERLIB_DKM_PALETTE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::dkm {

// How a weight lies in its packed form. A weight of two or more dimensions is a matrix of sizes[0] rows (output
// channels); one of fewer dimensions is a single row.
//
// Indices: row by row, each from a byte of its own on, so that threads may take rows. Index i of a row is in bits
// [i * bits, (i + 1) * bits) of the row's bytes read as one little-endian number; what is left of the last byte is 0.
// Tables: [groups][2^bits] values; group g is that of the rows [g * group_rows, (g + 1) * group_rows).
struct PaletteShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  int bits = 0;                 // 1 to 8
  std::int64_t group_rows = 0;  // rows that share a table, >= 1; the last group may have fewer

  std::int64_t clusters() const { return std::int64_t{1} << bits; }
  std::int64_t groups() const { return rows == 0 ? 0 : (rows - 1) / group_rows + 1; }
  std::int64_t row_bytes() const { return columns / 8 * bits + (columns % 8 * bits + 7) / 8; }
  std::int64_t index_bytes() const { return rows * row_bytes(); }
  std::int64_t table_values() const { return groups() * clusters(); }
};

// The shape for a weight of these sizes; group_rows 0 is one table for all rows. InvalidArgument where bits are not 1
// to 8, group_rows or a size is negative, or a count does not fit into 63 bits.
StatusOr<PaletteShape> MakePaletteShape(const std::vector<std::int64_t>& sizes, int bits, std::int64_t group_rows);

// Indices and tables that somebody else owns, at any alignment. What they hold is not trusted: any bytes are indices.
struct PaletteView {
  PaletteShape shape;
  const void* indices = nullptr;    // index_bytes() bytes
  DType table_dtype = DType::kF32;  // f32, bf16 or f16
  const void* table = nullptr;      // table_values() values
};

struct Palette {
  PaletteShape shape;
  DType table_dtype = DType::kF32;
  std::vector<std::uint8_t> indices;
  std::vector<std::uint8_t> table;
  double squared_error = 0;  // sum over the weights of (weight - table value)^2
  double squared_norm = 0;   // sum of weight^2

  PaletteView view() const { return {shape, indices.data(), table_dtype, table.data()}; }
  // Root of squared_error over squared_norm; 0 where the error is 0.
  double RelativeError() const;
};

// A dense weight, row-major, at any alignment.
struct DenseWeight {
  std::string name;           // for messages
  DType dtype = DType::kF32;  // f32, bf16 or f16
  std::vector<std::int64_t> sizes;
  const void* data = nullptr;
};

struct PaletteOptions {
  int bits = 3;
  std::int64_t group_rows = 0;      // rows that share a table; 0: all
  DType table_dtype = DType::kF32;  // table values are rounded to it before weights are assigned
};

// Makes palettes and computes with them, on threads of its own. Results depend on neither their number nor the run.
//
// Thread-safety: one thread at a time.
class Palettizer {
 public:
  // `threads` counts the caller; 0 means all processors.
  explicit Palettizer(int threads);
  ~Palettizer();
  Palettizer(const Palettizer&) = delete;
  Palettizer& operator=(const Palettizer&) = delete;

  // The tables with the least squared error (exact 1-D k-means, src/dkm/kmeans_1d.h; for float32 over at most 65,536
  // cells of the values, src/dkm/value_cells.h), ascending, and for each weight the index of the nearest value (ties:
  // the lowest index). A group with no more distinct values than clusters is kept exactly. InvalidArgument names the
  // weight and the position of the first NaN or infinity, or says what of the options or the weight cannot be.
  StatusOr<Palette> Cluster(const DenseWeight& weight, const PaletteOptions& options);

  // The same for tables that are there already, as DKM trains them: `table` has 2^bits values for each group, which are
  // sorted and rounded to table_dtype. InvalidArgument also where a value is not finite or their number is not that.
  StatusOr<Palette> Assign(const DenseWeight& weight, const PaletteOptions& options, const std::vector<float>& table);

  // The dense weight, each value rounded to `dtype` (f32, bf16 or f16). `out`: rows * columns values, any alignment.
  // InvalidArgument for another dtype, here or of the table.
  Status Unpack(const PaletteView& palette, DType dtype, void* out);

  // y = W x straight from indices and tables. x: [columns], y: [rows]. Each row is summed in float32 in a fixed order
  // of several partial sums. InvalidArgument where the table's dtype is none of f32, bf16 and f16.
  Status Multiply(const PaletteView& palette, const float* x, float* y);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_DKM_PALETTE_H_
