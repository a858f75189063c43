// NcclDevice: what the communicator over NCCL needs of the device besides NCCL: a stream, room, copies, and sums in the
// order of ranks. CUDA's is in comm/cuda; tests put host memory behind it.
//
// Thread-safety: one thread at a time.
#ifndef TIERLIB_SRC_COMM_NCCL_DEVICE_H_
#define TIERLIB_SRC_COMM_NCCL_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "tierlib/comm/communicator.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::comm {

class NcclDevice {
 public:
  virtual ~NcclDevice() = default;

  // Calls `body` with the device as the thread's current one.
  virtual Status With(const std::function<Status()>& body) = 0;

  // The rest within With. `stream` is a cudaStream_t on CUDA.
  virtual void* stream() const = 0;
  // Room of `bytes` bytes, aligned to 256, until the next call. ResourceExhausted where there is none.
  virtual StatusOr<void*> Room(std::uint64_t bytes) = 0;
  virtual Status Copy(void* to, const void* from, std::uint64_t bytes) = 0;
  // out[i] = (inputs[0][i] op inputs[1][i]) op ..., of `inputs` arrays of `count` elements that lie `apart` bytes from
  // each other. dtype is f32, f64, i32 or i64. `out` is disjoint from them.
  virtual Status Reduce(const void* inputs, int input_count, std::uint64_t apart, std::uint64_t count, DType dtype,
                        Reduction reduction, void* out) = 0;
  // Whether all work enqueued so far has ended; an error of it.
  virtual StatusOr<bool> Done() = 0;
};

// Of CUDA device `ordinal`, on `stream`, or on a stream of its own where `stream` is 0. Unimplemented in a build
// without CUDA; Unavailable with CUDA's words.
StatusOr<std::unique_ptr<NcclDevice>> MakeCudaNcclDevice(int ordinal, std::uintptr_t stream);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_NCCL_DEVICE_H_
