// Chunks: short runs of a tensor's elements, brought into the compute type on the stack and back. The one place where
// host kernels convert between dtypes.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_CHUNK_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_CHUNK_H_

#include <cstddef>
#include <cstdint>

#include "tierlib/dtype.h"

namespace tierlib::autograd::host {

// Elements of a chunk at most: four double buffers of it stay in the first-level cache.
inline constexpr std::int64_t kChunk = 1024;

template <typename T>
inline constexpr DType kDTypeOf = sizeof(T) == 8 ? DType::kF64 : DType::kF32;

// Calls f(float{}) or f(double{}), whichever values of `dtype` are computed in.
template <class F>
void WithComputeType(DType dtype, const F& f) {
  if (dtype == DType::kF64) {
    f(double{});
  } else {
    f(float{});
  }
}

// `n` elements of the array `data` from `first` on, `stride` apart (0 repeats one), as T (float or double). Returns a
// pointer to the elements themselves where they have that form already, otherwise fills `buffer` and returns it.
// REQUIRES: a float dtype; room for n in buffer.
template <typename T>
const T* ReadChunk(DType dtype, const void* data, std::int64_t first, std::int64_t stride, std::int64_t n, T* buffer);

// Where to compute a chunk that will be written: the elements themselves, or `buffer`.
template <typename T>
T* OpenChunk(DType dtype, void* data, std::int64_t first, std::int64_t stride, T* buffer) {
  return dtype == kDTypeOf<T> && stride == 1 ? static_cast<T*>(data) + first : buffer;
}

// Writes the chunk that OpenChunk gave: rounds to the dtype, or does nothing where it is in place.
template <typename T>
void CloseChunk(DType dtype, void* data, std::int64_t first, std::int64_t stride, std::int64_t n, const T* chunk);

// One element.
template <typename T>
T ReadElement(DType dtype, const void* data, std::int64_t index);
template <typename T>
void WriteElement(DType dtype, void* data, std::int64_t index, T value);

extern template const float* ReadChunk(DType, const void*, std::int64_t, std::int64_t, std::int64_t, float*);
extern template const double* ReadChunk(DType, const void*, std::int64_t, std::int64_t, std::int64_t, double*);
extern template void CloseChunk(DType, void*, std::int64_t, std::int64_t, std::int64_t, const float*);
extern template void CloseChunk(DType, void*, std::int64_t, std::int64_t, std::int64_t, const double*);
extern template float ReadElement(DType, const void*, std::int64_t);
extern template double ReadElement(DType, const void*, std::int64_t);
extern template void WriteElement(DType, void*, std::int64_t, float);
extern template void WriteElement(DType, void*, std::int64_t, double);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_CHUNK_H_
