// Palettes in the memory of a CUDA device: products with vectors and dense weights, made there.
#ifndef TIERLIB_DKM_DEVICE_PALETTE_H_
#define TIERLIB_DKM_DEVICE_PALETTE_H_

#include <cstdint>

#include "tierlib/dkm/palette.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::dkm {

// What somebody else owns: addresses are of the device. Tables are float32 there, whatever they are stored as.
struct DevicePalette {
  PaletteShape shape;
  const std::uint8_t* indices = nullptr;  // shape.index_bytes() bytes
  const float* tables = nullptr;          // shape.table_values() values
};

// Both enqueue on `stream` and return; they neither wait nor allocate, so a CUDA graph may capture them. All memory
// that is named must stay until their work has ended. InvalidArgument for a shape that MakePaletteShape does not make,
// an address that is missing, or another dtype; Unimplemented in a build without CUDA; Unavailable or Internal with
// CUDA's words. REQUIRES: the stream's device is the thread's current one.
//
// Thread-safety: pure functions of their arguments.

// y = W x straight from indices and tables. x: [columns], y: [rows]. Each row is 32 sums in float32 side by side, which
// are added up in order: the same bits in every run.
Status MultiplyOnDevice(const DevicePalette& palette, const float* x, float* y, Stream stream);

// The dense weight [rows][columns], row-major, each value rounded to `dtype` (f32, bf16 or f16).
Status UnpackOnDevice(const DevicePalette& palette, DType dtype, void* weights, Stream stream);

}  // namespace tierlib::dkm

#endif  // TIERLIB_DKM_DEVICE_PALETTE_H_
