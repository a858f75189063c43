#include "tierlib/dkm/device_palette.h"

#include <initializer_list>
#include <string>

#include "dkm/kernels/cuda/palette.h"
#include "dkm/palette_shape.h"

namespace tierlib::dkm {
namespace {

// `given` is an address that the call cannot do without where `bytes` are there.
struct Needed {
  const char* name;
  const void* given;
  std::int64_t bytes;
};

Status CheckNeeded(const char* what, std::initializer_list<Needed> all) {
  for (const Needed& one : all) {
    if (one.given != nullptr || one.bytes == 0) continue;
    return InvalidArgumentError(std::string(what) + ": no address of " + one.name + ", " + std::to_string(one.bytes) +
                                " bytes of device memory");
  }
  return OkStatus();
}

Status CheckShape(const char* what, const PaletteShape& shape) {
  if (shape.group_rows >= 1 && MakePaletteShape({shape.rows, shape.columns}, shape.bits, shape.group_rows).ok()) {
    return OkStatus();
  }
  return InvalidArgumentError(std::string(what) + ": a palette of " + std::to_string(shape.rows) + " rows of " +
                              std::to_string(shape.columns) + ", " + std::to_string(shape.group_rows) +
                              " to a table, of " + std::to_string(shape.bits) +
                              " bits: sizes from 0 on, at least 1 row to a table and 1 to 8 bits are possible");
}

}  // namespace

Status MultiplyOnDevice(const DevicePalette& palette, const float* x, float* y, Stream stream) {
  const PaletteShape& shape = palette.shape;
  TIERLIB_RETURN_IF_ERROR(CheckShape("multiply on a device", shape));
  TIERLIB_RETURN_IF_ERROR(CheckNeeded("multiply on a device", {{"the indices", palette.indices, shape.index_bytes()},
                                                               {"the tables", palette.tables, 4 * shape.table_values()},
                                                               {"x", x, 4 * shape.columns},
                                                               {"y", y, 4 * shape.rows}}));
  return cuda::PackedMatvec({shape, palette.indices, palette.tables, x, y}, stream);
}

Status UnpackOnDevice(const DevicePalette& palette, DType dtype, void* weights, Stream stream) {
  const PaletteShape& shape = palette.shape;
  TIERLIB_RETURN_IF_ERROR(CheckShape("unpack on a device", shape));
  if (!IsPaletteType(dtype)) {
    return InvalidArgumentError(std::string("unpack on a device: weights of ") + DTypeName(dtype) +
                                ": f32, bf16 and f16 are possible");
  }
  const std::int64_t bytes = shape.rows * shape.columns * static_cast<std::int64_t>(ElementBytes(dtype));
  TIERLIB_RETURN_IF_ERROR(CheckNeeded("unpack on a device", {{"the indices", palette.indices, shape.index_bytes()},
                                                             {"the tables", palette.tables, 4 * shape.table_values()},
                                                             {"the weights", weights, bytes}}));
  return cuda::UnpackWeights({shape, palette.indices, palette.tables, dtype, weights}, stream);
}

}  // namespace tierlib::dkm
