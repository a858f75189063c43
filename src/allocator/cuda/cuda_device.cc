// CudaDevice: device_backend.h on one CUDA device. Owns the device's address range and what is mapped there, and an
// event clock; streams and events belong to the caller until it destroys them. An EventId is the cudaEvent_t, a
// Stream's handle the cudaStream_t: streams that the program made itself may be passed everywhere.
//
// Each function makes the device the calling thread's current one and puts the thread's own choice back.
#include "allocator/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "allocator/cuda/copy_plan.h"
#include "allocator/cuda/cuda_error.h"
#include "allocator/cuda/device_range.h"
#include "allocator/cuda/event_clock.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

cudaStream_t AsCuda(Stream stream) { return reinterpret_cast<cudaStream_t>(stream.handle); }
cudaEvent_t AsCuda(EventId event) { return reinterpret_cast<cudaEvent_t>(static_cast<std::uintptr_t>(event)); }

cudaMemcpyKind AsCuda(CopyDirection direction) {
  switch (direction) {
    case CopyDirection::kDeviceToHost: return cudaMemcpyDeviceToHost;
    case CopyDirection::kHostToDevice: return cudaMemcpyHostToDevice;
    case CopyDirection::kDeviceToDevice: return cudaMemcpyDeviceToDevice;
  }
  return cudaMemcpyDefault;
}

// Makes a device the thread's current one for a scope. An error shows in the next CUDA call.
class CurrentDevice {
 public:
  explicit CurrentDevice(int ordinal) : ordinal_(ordinal) {
    if (cudaGetDevice(&before_) != cudaSuccess) before_ = ordinal;
    if (before_ != ordinal) (void)cudaSetDevice(ordinal);
  }
  ~CurrentDevice() {
    if (before_ != ordinal_) (void)cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  const int ordinal_;
  int before_ = 0;
};

class CudaDevice final : public DeviceBackend {
 public:
  CudaDevice(DeviceInfo info, std::unique_ptr<DeviceRange> range, std::unique_ptr<EventClock> clock,
             std::size_t max_pitch)
      : info_(std::move(info)), max_pitch_(max_pitch), range_(std::move(range)), clock_(std::move(clock)) {}

  ~CudaDevice() override {
    const CurrentDevice current(info_.device);
    clock_.reset();
    range_.reset();
  }

  const DeviceInfo& info() const override { return info_; }

  StatusOr<void*> Reserve(std::size_t bytes) override {
    const CurrentDevice current(info_.device);
    StatusOr<void*> base = range_->Map(bytes);
    if (!base.ok()) (void)Note(base.status());
    return base;
  }

  Status Release(void* base, std::size_t bytes) override {
    const CurrentDevice current(info_.device);
    return Note(range_->Unmap(base, bytes));
  }

  void NoteBlock(void*, std::size_t, bool, Stream) override {}

  Status PinHost(void* base, std::size_t bytes) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaHostRegister(base, bytes, cudaHostRegisterPortable), "cudaHostRegister");
  }

  Status UnpinHost(void* base, std::size_t) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaHostUnregister(base), "cudaHostUnregister");
  }

  StatusOr<Stream> CreateStream(std::string_view) override {
    const CurrentDevice current(info_.device);
    cudaStream_t stream = nullptr;
    TIERLIB_RETURN_IF_ERROR(
        Checked(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"));
    return Stream{info_.device, reinterpret_cast<std::uintptr_t>(stream)};
  }

  Status DestroyStream(Stream stream) override {
    const CurrentDevice current(info_.device);
    const Status ended = Checked(cudaStreamSynchronize(AsCuda(stream)), "cudaStreamSynchronize");
    const Status destroyed = Checked(cudaStreamDestroy(AsCuda(stream)), "cudaStreamDestroy");
    return ended.ok() ? destroyed : ended;
  }

  Status SynchronizeStream(Stream stream) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaStreamSynchronize(AsCuda(stream)), "cudaStreamSynchronize");
  }

  Status Synchronize() override {
    const CurrentDevice current(info_.device);
    return Checked(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  StatusOr<EventId> CreateEvent() override {
    const CurrentDevice current(info_.device);
    cudaEvent_t event = nullptr;
    TIERLIB_RETURN_IF_ERROR(Checked(cudaEventCreate(&event), "cudaEventCreate"));
    return EventId{reinterpret_cast<std::uintptr_t>(event)};
  }

  void DestroyEvent(EventId event) override {
    const CurrentDevice current(info_.device);
    (void)Checked(cudaEventDestroy(AsCuda(event)), "cudaEventDestroy");
  }

  Status RecordEvent(EventId event, Stream stream) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaEventRecord(AsCuda(event), AsCuda(stream)), "cudaEventRecord");
  }

  Status WaitEvent(Stream stream, EventId event) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaStreamWaitEvent(AsCuda(stream), AsCuda(event), 0), "cudaStreamWaitEvent");
  }

  StatusOr<bool> EventDone(EventId event) override {
    const CurrentDevice current(info_.device);
    const cudaError_t error = cudaEventQuery(AsCuda(event));
    if (error == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    TIERLIB_RETURN_IF_ERROR(Checked(error, "cudaEventQuery"));
    return true;
  }

  Status SynchronizeEvent(EventId event) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaEventSynchronize(AsCuda(event)), "cudaEventSynchronize");
  }

  std::int64_t EventTimeNs(EventId event) override {
    const CurrentDevice current(info_.device);
    const StatusOr<std::int64_t> time = clock_->TimeNs(AsCuda(event));
    if (time.ok()) return *time;
    (void)Note(time.status());
    return NowNs();  // the device is lost: there is no better time than that of noticing
  }

  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    const CurrentDevice current(info_.device);
    for (const PitchedCopy& copy : PlanCopy(runs, max_pitch_)) {
      TIERLIB_RETURN_IF_ERROR(Enqueue(copy, AsCuda(direction), AsCuda(stream)));
      copied_[static_cast<std::size_t>(direction)] += copy.row_bytes * copy.rows;
    }
    return OkStatus();
  }

  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    const CurrentDevice current(info_.device);
    return Checked(cudaMemsetAsync(base, value, bytes, AsCuda(stream)), "cudaMemsetAsync");
  }

  Status Launch(Stream, HostKernel kernel) override {
    return UnimplementedError(std::string("a CUDA device runs no host kernels: ") + kernel.name);
  }

  std::uint64_t CopiedBytes(CopyDirection direction) const override {
    return copied_[static_cast<std::size_t>(direction)].load(std::memory_order_relaxed);
  }

  Status health() const override {
    MutexLock lock(mutex_);
    return health_;
  }

 private:
  Status Enqueue(const PitchedCopy& copy, cudaMemcpyKind kind, cudaStream_t stream) {
    if (copy.rows == 1) {
      return Checked(cudaMemcpyAsync(copy.destination, copy.source, copy.row_bytes, kind, stream), "cudaMemcpyAsync");
    }
    return Checked(cudaMemcpy2DAsync(copy.destination, copy.destination_pitch, copy.source, copy.source_pitch,
                                     copy.row_bytes, copy.rows, kind, stream),
                   "cudaMemcpy2DAsync");
  }

  Status Checked(cudaError_t error, const char* what) { return Note(CudaStatus(error, what)); }

  // Keeps the first error after which the device does not come back.
  Status Note(Status status) {
    if (status.code() == StatusCode::kUnavailable) {
      MutexLock lock(mutex_);
      if (health_.ok()) health_ = status;
    }
    return status;
  }

  const DeviceInfo info_;
  const std::size_t max_pitch_;
  std::unique_ptr<DeviceRange> range_;
  std::unique_ptr<EventClock> clock_;
  std::array<std::atomic<std::uint64_t>, 3> copied_ = {};  // by CopyDirection
  mutable Mutex mutex_;
  Status health_ ABSL_GUARDED_BY(mutex_);
};

// OK where a driver is there and has a device of this number.
Status FindDevice(int ordinal) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    const Status status = CudaStatus(error, "cudaGetDeviceCount");
    return UnimplementedError("no CUDA driver or device on this machine (" + std::string(status.message()) + ")");
  }
  if (ordinal >= 0 && ordinal < count) return OkStatus();
  return UnimplementedError("no CUDA device " + std::to_string(ordinal) + ": this machine has " +
                            std::to_string(count));
}

}  // namespace

StatusOr<std::unique_ptr<DeviceBackend>> MakeCudaDevice(const DeviceOptions& options) {
  TIERLIB_RETURN_IF_ERROR(FindDevice(options.device));
  const CurrentDevice current(options.device);
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaFree(nullptr), "making the CUDA context"));
  cudaDeviceProp properties;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaGetDeviceProperties(&properties, options.device), "cudaGetDeviceProperties"));
  if (options.capacity > properties.totalGlobalMem) {
    return InvalidArgumentError("device capacity " + FormatBytes(options.capacity) + " asked, " + properties.name +
                                " has " + FormatBytes(properties.totalGlobalMem));
  }
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceRange> range, DeviceRange::Create(options.device, options.capacity));
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<EventClock> clock, EventClock::Create());
  DeviceInfo info;
  info.name = properties.name;
  info.device = options.device;
  info.capacity = range->capacity();
  info.granularity = range->granularity();
  return std::unique_ptr<DeviceBackend>(
      new CudaDevice(std::move(info), std::move(range), std::move(clock), properties.memPitch));
}

int CudaDeviceCount() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

}  // namespace tierlib
