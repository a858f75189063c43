// A stream: an ordered queue of kernels and copies on one device.
#ifndef TIERLIB_STREAM_H_
#define TIERLIB_STREAM_H_

#include <cstdint>

namespace tierlib {

// `handle` is a cudaStream_t on a CUDA device and the emulated device's own number on an emulated one. Streams are
// passed at each call, and each call may name another one.
//
// What a program with streams of its own (CUDA) must keep alive: memory goes back once the work of every stream that
// used it has ended, and the streams are asked for that when the last reference is dropped. So a stream must exist
// until the storages, Saved and Loaded for which it was named are gone, and where their memory is the program's, until
// that was given back (its keepalive dropped, `deallocate` called; Drain sees to it). After that it is not touched
// again: it may be destroyed with work pending, and its handle may come back as another stream. Frameworks that keep
// their streams for as long as the process lives need not care. cudaStreamPerThread stands for another stream in each
// thread: name it only where one thread makes all calls and drops the handles.
struct Stream {
  int device = 0;
  std::uintptr_t handle = 0;

  friend bool operator==(const Stream& a, const Stream& b) { return a.device == b.device && a.handle == b.handle; }
  friend bool operator!=(const Stream& a, const Stream& b) { return !(a == b); }
};

}  // namespace tierlib

#endif  // TIERLIB_STREAM_H_
