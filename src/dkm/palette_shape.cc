#include "dkm/palette_shape.h"

#include <cmath>
#include <cstring>

#include "autograd/kernels/host/chunk.h"
#include "base/checked_math.h"

namespace tierlib::dkm {
namespace {

// The product of sizes[first], sizes[first + 1], ...; 0 where one of them is 0 and -1 where it does not fit.
std::int64_t Product(const std::vector<std::int64_t>& sizes, std::size_t first) {
  std::int64_t product = 1;
  for (std::size_t i = first; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    if (product >= 0 && !CheckedMul(product, sizes[i], &product)) product = -1;
  }
  return product;
}

}  // namespace

bool IsPaletteType(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }

StatusOr<PaletteShape> MakePaletteShape(const std::vector<std::int64_t>& sizes, int bits, std::int64_t group_rows) {
  if (bits < 1 || bits > 8) return InvalidArgumentError("bits are 1 to 8, not " + std::to_string(bits));
  if (group_rows < 0) {
    return InvalidArgumentError("the rows that share a table are at least 1, or 0 for all, not " +
                                std::to_string(group_rows));
  }
  for (const std::int64_t size : sizes) {
    if (size < 0) return InvalidArgumentError("a size is negative: " + std::to_string(size));
  }
  PaletteShape shape;
  shape.rows = sizes.size() < 2 ? 1 : sizes[0];
  shape.columns = Product(sizes, sizes.size() < 2 ? 0 : 1);
  shape.bits = bits;
  shape.group_rows = group_rows == 0 || group_rows > shape.rows ? std::max<std::int64_t>(shape.rows, 1) : group_rows;
  std::int64_t product = 0;
  // What is counted, generously: rows of dense float64, and tables of such.
  const bool fits = shape.columns >= 0 && CheckedMul(shape.columns, std::int64_t{8}, &product) &&
                    CheckedMul(product, std::max<std::int64_t>(shape.rows, 1), &product) &&
                    CheckedMul(shape.groups(), std::int64_t{8 * 256}, &product);
  if (!fits) return InvalidArgumentError("the sizes are too large");
  return shape;
}

double Palette::RelativeError() const { return squared_error > 0 ? std::sqrt(squared_error / squared_norm) : 0; }

Status CheckView(const PaletteView& palette) {
  if (palette.shape.bits < 1 || palette.shape.bits > 8) {
    return InvalidArgumentError("palette: bits are 1 to 8, not " + std::to_string(palette.shape.bits));
  }
  if (!IsPaletteType(palette.table_dtype)) {
    return InvalidArgumentError(std::string("palette: tables are f32, bf16 or f16, not ") +
                                DTypeName(palette.table_dtype));
  }
  return OkStatus();
}

std::vector<float> ReadTables(const PaletteView& palette) {
  const auto count = static_cast<std::size_t>(palette.shape.table_values());
  std::vector<float> values(count);
  if (count == 0) return values;
  std::vector<float> aligned((count * ElementBytes(palette.table_dtype) + sizeof(float) - 1) / sizeof(float));
  std::memcpy(aligned.data(), palette.table, count * ElementBytes(palette.table_dtype));
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = autograd::host::ReadElement<float>(palette.table_dtype, aligned.data(), static_cast<std::int64_t>(i));
  }
  return values;
}

Status NotFiniteError(const DenseWeight& weight, std::int64_t position) {
  std::string at;
  std::int64_t rest = position;
  for (std::size_t i = weight.sizes.size(); i > 0; --i) {
    at = std::to_string(rest % weight.sizes[i - 1]) + (at.empty() ? "" : ",") + at;
    rest /= weight.sizes[i - 1];
  }
  return InvalidArgumentError("tensor " + weight.name + ": value " + std::to_string(position) + ", at [" + at +
                              "], is NaN or infinite");
}

}  // namespace tierlib::dkm
