// NcclDevice on CUDA.
#include "comm/nccl_device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "allocator/cuda/cuda_driver.h"
#include "allocator/cuda/current_context.h"
#include "comm/cuda/reduce_in_order.h"

namespace tierlib::comm {
namespace {

Status StatusOf(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return OkStatus();
  return UnavailableError(std::string(what) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

class CudaNcclDevice : public NcclDevice {
 public:
  CudaNcclDevice(const CudaDriver& driver, CUcontext context, std::uintptr_t stream)
      : driver_(driver), context_(context), stream_(reinterpret_cast<cudaStream_t>(stream)), owns_(stream == 0) {}
  ~CudaNcclDevice() override {
    const CurrentContext current(driver_, context_);
    if (room_ != nullptr) (void)cudaFree(room_);
    if (owns_ && stream_ != nullptr) (void)cudaStreamDestroy(stream_);
  }

  Status Open() {
    const CurrentContext current(driver_, context_);
    if (!owns_) return OkStatus();
    return StatusOf(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }

  Status With(const std::function<Status()>& body) override {
    const CurrentContext current(driver_, context_);
    return body();
  }
  void* stream() const override { return stream_; }

  StatusOr<void*> Room(std::uint64_t bytes) override {
    if (bytes <= room_bytes_) return room_;
    if (room_ != nullptr) (void)cudaFree(room_);  // waits for what uses it
    room_ = nullptr;
    room_bytes_ = 0;
    if (cudaMalloc(&room_, bytes) != cudaSuccess) {
      room_ = nullptr;
      (void)cudaGetLastError();
      return ResourceExhaustedError("no " + std::to_string(bytes) + " bytes of device memory for a reduction's shares");
    }
    room_bytes_ = bytes;
    return room_;
  }

  Status Copy(void* to, const void* from, std::uint64_t bytes) override {
    return StatusOf(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "cudaMemcpyAsync");
  }
  Status Reduce(const void* inputs, int input_count, std::uint64_t apart, std::uint64_t count, DType dtype,
                Reduction reduction, void* out) override {
    return StatusOf(EnqueueReduceInOrder({inputs, input_count, apart, count, dtype, reduction, out}, stream_),
                    "reduction kernel");
  }
  StatusOr<bool> Done() override {
    const cudaError_t error = cudaStreamQuery(stream_);
    if (error == cudaErrorNotReady) return false;
    TIERLIB_RETURN_IF_ERROR(StatusOf(error, "cudaStreamQuery"));
    return true;
  }

 private:
  const CudaDriver driver_;
  const CUcontext context_;
  cudaStream_t stream_;
  const bool owns_;
  void* room_ = nullptr;
  std::uint64_t room_bytes_ = 0;
};

}  // namespace

StatusOr<std::unique_ptr<NcclDevice>> MakeCudaNcclDevice(int ordinal, std::uintptr_t stream) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) devices = 0;
  if (ordinal < 0 || ordinal >= devices) {
    return InvalidArgumentError("CUDA device " + std::to_string(ordinal) + ": this process sees " +
                                std::to_string(devices));
  }
  TIERLIB_ASSIGN_OR_RETURN(const CudaDriver driver, CudaDriver::Load());
  TIERLIB_ASSIGN_OR_RETURN(const CUcontext context, RetainPrimaryContext(driver, ordinal));
  auto device = std::make_unique<CudaNcclDevice>(driver, context, stream);
  TIERLIB_RETURN_IF_ERROR(device->Open());
  return std::unique_ptr<NcclDevice>(std::move(device));
}

}  // namespace tierlib::comm
