// A stream: an ordered queue of kernels and copies on one device.
#ifndef TIERLIB_STREAM_H_
#define TIERLIB_STREAM_H_

#include <cstdint>

namespace tierlib {

// `handle` is a cudaStream_t on a CUDA device and the emulated device's own number on an emulated one. Streams are passed
// at each call and never kept beyond the work that the call enqueues (DESIGN: a consumer's stream may change at any time).
struct Stream {
  int device = 0;
  std::uintptr_t handle = 0;

  friend bool operator==(const Stream& a, const Stream& b) { return a.device == b.device && a.handle == b.handle; }
  friend bool operator!=(const Stream& a, const Stream& b) { return !(a == b); }
};

}  // namespace tierlib

#endif  // TIERLIB_STREAM_H_
