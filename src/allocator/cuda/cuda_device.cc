// CudaDevice: device_backend.h on one CUDA device. Owns the device's address range and what is mapped there, and an
// event clock; streams and events belong to the caller until it destroys them. An EventId is the cudaEvent_t, a
// Stream's handle the cudaStream_t: streams that the program made itself may be passed everywhere. Events and the
// device's own streams are listed; of a handle that is not, CUDA cannot tell whether a stream is behind it.
//
// Each function makes the device the calling thread's current one and puts the thread's own choice back.
#include "allocator/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <new>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "allocator/cuda/copy_plan.h"
#include "allocator/cuda/cuda_driver.h"
#include "allocator/cuda/cuda_error.h"
#include "allocator/cuda/cuda_graphs.h"
#include "allocator/cuda/current_context.h"
#include "allocator/cuda/device_memory.h"
#include "allocator/cuda/device_node.h"
#include "allocator/cuda/event_clock.h"
#include "allocator/cuda/host_kernels.h"
#include "allocator/cuda/registered_ranges.h"
#include "base/clock.h"
#include "base/fork_mark.h"
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

class CudaDevice final : public DeviceBackend {
 public:
  CudaDevice(DeviceInfo info, const CudaDriver& driver, CUcontext context, DeviceMemory memory,
             std::unique_ptr<EventClock> clock, std::size_t max_pitch)
      : info_(std::move(info)),
        driver_(driver),
        context_(context),
        max_pitch_(max_pitch),
        memory_(std::move(memory)),
        clock_(std::move(clock)) {
    if (memory_.managed != nullptr) host_kernels_ = std::make_unique<HostKernels>(/*threads=*/0);
  }

  ~CudaDevice() override {
    if (fork_.in_child()) {  // which has no driver context
      LeaveBehind(std::move(clock_));
      LeaveBehind(std::move(graphs_));
      LeaveBehind(std::move(memory_.range));
      LeaveBehind(std::move(memory_.pieces));
      LeaveBehind(std::move(memory_.managed));
      LeaveBehind(std::move(memory_.pool));
      LeaveBehind(std::move(host_kernels_));
      return;
    }
    const CurrentContext current(driver_, context_);
    graphs_.reset();
    clock_.reset();
    memory_ = DeviceMemory();
  }

  const DeviceInfo& info() const override { return info_; }

  StatusOr<void*> Reserve(std::size_t bytes) override {
    const CurrentContext current(driver_, context_);
    StatusOr<void*> base = memory_.Map(bytes);
    if (!base.ok()) (void)Note(base.status());
    return base;
  }

  Status ReserveAt(void* base, std::size_t bytes) override {
    if (!memory_.maps_to()) return DeviceBackend::ReserveAt(base, bytes);
    const CurrentContext current(driver_, context_);
    return Note(memory_.MapTo(base, bytes));
  }

  Status Release(void* base, std::size_t bytes) override {
    NoteHostWait();
    const CurrentContext current(driver_, context_);
    return Note(memory_.Unmap(base, bytes));
  }

  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    if (memory_.pool == nullptr) return DeviceBackend::AllocateInOrder(bytes, stream);
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("AllocateInOrder", stream));
    StatusOr<void*> block = memory_.pool->Allocate(bytes, AsCuda(stream));
    if (!block.ok()) (void)Note(block.status());
    return block;
  }

  Status FreeInOrder(void* block, Stream stream) override {
    if (memory_.pool == nullptr) return DeviceBackend::FreeInOrder(block, stream);
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("FreeInOrder", stream));
    return Note(memory_.pool->Free(block, AsCuda(stream)));
  }

  std::uint64_t ReservedInOrder() const override {
    if (memory_.pool == nullptr) return 0;
    const CurrentContext current(driver_, context_);
    return memory_.pool->reserved();
  }

  void NoteBlock(void*, std::size_t, bool, Stream) override {}

  Status PinHost(void* base, std::size_t bytes) override {
    NoteHostWait();
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(Checked(cudaHostRegister(base, bytes, cudaHostRegisterPortable), "cudaHostRegister"));
    MutexLock lock(mutex_);
    try {
      registered_.Add(base, bytes);
    } catch (const std::bad_alloc&) {
      (void)cudaHostUnregister(base);
      throw;
    }
    return OkStatus();
  }

  Status UnpinHost(void* base, std::size_t) override {
    NoteHostWait();
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(Checked(cudaHostUnregister(base), "cudaHostUnregister"));
    MutexLock lock(mutex_);
    registered_.Remove(base);
    return OkStatus();
  }

  StatusOr<Stream> CreateStream(std::string_view) override {
    const CurrentContext current(driver_, context_);
    cudaStream_t made = nullptr;
    TIERLIB_RETURN_IF_ERROR(
        Checked(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"));
    const Stream stream{info_.device, reinterpret_cast<std::uintptr_t>(made)};
    MutexLock lock(mutex_);
    streams_.insert(stream.handle);
    return stream;
  }

  Status DestroyStream(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    if (!Owns(stream)) return NotFoundError("a CUDA stream to destroy that CreateStream did not make");
    NoteHostWait();
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("DestroyStream", stream));
    const Status ended = Checked(cudaStreamSynchronize(AsCuda(stream)), "cudaStreamSynchronize");
    {
      MutexLock lock(mutex_);  // first: the handle may come back at once
      streams_.erase(stream.handle);
      destroyed_streams_.fetch_add(1, std::memory_order_release);
    }
    const Status destroyed = Checked(cudaStreamDestroy(AsCuda(stream)), "cudaStreamDestroy");
    return ended.ok() ? destroyed : ended;
  }

  Status SynchronizeStream(Stream stream) override {
    NoteHostWait();
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("SynchronizeStream", stream));
    return Checked(cudaStreamSynchronize(AsCuda(stream)), "cudaStreamSynchronize");
  }

  Status Synchronize() override {
    NoteHostWait();
    if (graphs_->any()) return FailedPreconditionError("Synchronize: a stream of the device is in a capture");
    const CurrentContext current(driver_, context_);
    return Checked(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  StatusOr<std::uint64_t> StreamNumber(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    unsigned long long number = 0;  // NOLINT: CUDA's type
    TIERLIB_RETURN_IF_ERROR(Checked(cudaStreamGetId(AsCuda(stream), &number), "cudaStreamGetId"));
    return std::uint64_t{number};
  }

  bool Owns(Stream stream) const override {
    MutexLock lock(mutex_);
    return stream.device == info_.device && streams_.contains(stream.handle);
  }

  const std::atomic<std::uint64_t>& destroyed_streams() const override { return destroyed_streams_; }

  StatusOr<EventId> CreateEvent() override {
    const CurrentContext current(driver_, context_);
    cudaEvent_t made = nullptr;
    TIERLIB_RETURN_IF_ERROR(Checked(cudaEventCreate(&made), "cudaEventCreate"));
    const EventId event{reinterpret_cast<std::uintptr_t>(made)};
    MutexLock lock(mutex_);
    events_.insert(event);
    return event;
  }

  void DestroyEvent(EventId event) override {
    {
      MutexLock lock(mutex_);
      if (events_.erase(event) == 0) return;
    }
    const CurrentContext current(driver_, context_);
    (void)Checked(cudaEventDestroy(AsCuda(event)), "cudaEventDestroy");
  }

  Status RecordEvent(EventId event, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckEvent(event));
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    return Checked(cudaEventRecord(AsCuda(event), AsCuda(stream)), "cudaEventRecord");
  }

  Status WaitEvent(Stream stream, EventId event) override {
    TIERLIB_RETURN_IF_ERROR(CheckEvent(event));
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    return Checked(cudaStreamWaitEvent(AsCuda(stream), AsCuda(event), 0), "cudaStreamWaitEvent");
  }

  StatusOr<bool> EventDone(EventId event) override {
    TIERLIB_RETURN_IF_ERROR(CheckEvent(event));
    const CurrentContext current(driver_, context_);
    const cudaError_t error = cudaEventQuery(AsCuda(event));
    if (error == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    TIERLIB_RETURN_IF_ERROR(Checked(error, "cudaEventQuery"));
    return true;
  }

  Status SynchronizeEvent(EventId event) override {
    NoteHostWait();
    TIERLIB_RETURN_IF_ERROR(CheckEvent(event));
    const CurrentContext current(driver_, context_);
    return Checked(cudaEventSynchronize(AsCuda(event)), "cudaEventSynchronize");
  }

  std::int64_t EventTimeNs(EventId event) override {
    const CurrentContext current(driver_, context_);
    const StatusOr<std::int64_t> time = clock_->TimeNs(AsCuda(event));
    if (time.ok()) return *time;
    (void)Note(time.status());
    return NowNs();  // the device is lost: there is no better time than that of noticing
  }

  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    for (const CopyRun& run : runs) {
      if (run.bytes > 0 && (run.destination == nullptr || run.source == nullptr)) {
        return InvalidArgumentError("a copy from or to a null address");
      }
    }
    const CurrentContext current(driver_, context_);
    if (ReachesPageable(runs, direction)) NoteHostWait();
    const auto plan = Plan(runs);
    for (const PitchedCopy& copy : plan) {
      const Status status = Enqueue(copy, AsCuda(direction), AsCuda(stream));
      if (!status.ok()) {
        // The caller lets the memory go: nothing of the operation may be left running.
        if (&copy != plan.begin()) (void)Checked(cudaStreamSynchronize(AsCuda(stream)), "cudaStreamSynchronize");
        return status;
      }
      const std::uint64_t bytes = copy.row_bytes * copy.rows;
      if (!graphs_->NoteCopy(AsCuda(stream), direction, bytes)) copied_[static_cast<std::size_t>(direction)] += bytes;
    }
    return OkStatus();
  }

  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    if (bytes == 0) return OkStatus();
    if (base == nullptr) return InvalidArgumentError("a fill of a null address");
    const CurrentContext current(driver_, context_);
    return Checked(cudaMemsetAsync(base, value, bytes, AsCuda(stream)), "cudaMemsetAsync");
  }

  Status Launch(Stream stream, HostKernel kernel) override {
    if (host_kernels_ == nullptr) {
      return UnimplementedError(std::string("a CUDA device runs no host kernels without managed memory: ") +
                                kernel.name);
    }
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    return Note(host_kernels_->Launch(AsCuda(stream), std::move(kernel)));
  }

  Status EnqueueNative(absl::FunctionRef<Status()> enqueue) override {
    const CurrentContext current(driver_, context_);
    return Note(enqueue());
  }

  Status BeginCapture(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("BeginCapture", stream));
    return Note(graphs_->Begin(AsCuda(stream)));
  }

  StatusOr<GraphId> EndCapture(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    StatusOr<GraphId> graph = graphs_->End(AsCuda(stream));
    if (!graph.ok()) (void)Note(graph.status());
    return graph;
  }

  bool InCapture(Stream stream) const override {
    const CurrentContext current(driver_, context_);
    return stream.device == info_.device && graphs_->InCapture(AsCuda(stream));
  }

  Status LaunchGraph(GraphId graph, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    const CurrentContext current(driver_, context_);
    TIERLIB_RETURN_IF_ERROR(RefuseInCapture("LaunchGraph", stream));
    const StatusOr<CudaGraphs::Bytes> copied = graphs_->Launch(graph, AsCuda(stream));
    TIERLIB_RETURN_IF_ERROR(Note(copied.status()));
    for (std::size_t i = 0; i < copied_.size(); ++i) copied_[i] += (*copied)[i];
    return OkStatus();
  }

  Status DestroyGraph(GraphId graph) override {
    NoteHostWait();
    const CurrentContext current(driver_, context_);
    return Note(graphs_->Destroy(graph));
  }

  std::uint64_t CopiedBytes(CopyDirection direction) const override {
    return copied_[static_cast<std::size_t>(direction)].load(std::memory_order_relaxed);
  }

  std::uint64_t host_waits() const override { return host_waits_.load(std::memory_order_relaxed); }

  Status health() const override {
    MutexLock lock(mutex_);
    return health_;
  }

 private:
  Status CheckDevice(Stream stream) const {
    if (stream.device == info_.device) return OkStatus();
    return InvalidArgumentError("a stream of device " + std::to_string(stream.device) + " was given to device " +
                                std::to_string(info_.device));
  }

  // Where CUDA would take the call for a part of the graph, or spoil the capture. REQUIRES: the context is current.
  Status RefuseInCapture(const char* call, Stream stream) const {
    if (!graphs_->InCapture(AsCuda(stream))) return OkStatus();
    return FailedPreconditionError(std::string(call) + ": the stream is in a capture");
  }

  // An unknown id would be taken for an address.
  Status CheckEvent(EventId event) const {
    MutexLock lock(mutex_);
    if (events_.contains(event)) return OkStatus();
    return InvalidArgumentError("event " + std::to_string(event) + " does not exist: make it with CreateEvent");
  }

  void NoteHostWait() { host_waits_.fetch_add(1, std::memory_order_relaxed); }

  // Whether the driver has to copy aside, and then may wait.
  bool ReachesPageable(absl::Span<const CopyRun> runs, CopyDirection direction) const {
    if (direction == CopyDirection::kDeviceToDevice) return false;
    MutexLock lock(mutex_);
    for (const CopyRun& run : runs) {
      const void* const host = direction == CopyDirection::kDeviceToHost ? run.destination : run.source;
      if (run.bytes > 0 && !registered_.Contains(host)) return true;
    }
    return false;
  }

  absl::InlinedVector<PitchedCopy, 4> Plan(absl::Span<const CopyRun> runs) const {
    MutexLock lock(mutex_);
    return PlanCopy(runs, max_pitch_, registered_);
  }

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

  const ForkMark fork_;
  const DeviceInfo info_;
  const CudaDriver driver_;
  const CUcontext context_;
  const std::size_t max_pitch_;
  DeviceMemory memory_;
  std::unique_ptr<EventClock> clock_;
  std::unique_ptr<HostKernels> host_kernels_;  // where the memory is managed
  std::unique_ptr<CudaGraphs> graphs_ = std::make_unique<CudaGraphs>();
  std::array<std::atomic<std::uint64_t>, 3> copied_ = {};  // by CopyDirection
  std::atomic<std::uint64_t> host_waits_{0};
  mutable Mutex mutex_;
  Status health_ ABSL_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> destroyed_streams_{0};
  absl::flat_hash_set<std::uintptr_t> streams_ ABSL_GUARDED_BY(mutex_);  // handles of the device's own
  absl::flat_hash_set<EventId> events_ ABSL_GUARDED_BY(mutex_);          // those that exist
  RegisteredRanges registered_ ABSL_GUARDED_BY(mutex_);                  // host memory
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
  TIERLIB_ASSIGN_OR_RETURN(const CudaDriver driver, CudaDriver::Load());
  TIERLIB_ASSIGN_OR_RETURN(const CUcontext context, RetainPrimaryContext(driver, options.device));
  const CurrentContext current(driver, context);
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaFree(nullptr), "starting the CUDA runtime"));
  cudaDeviceProp properties;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaGetDeviceProperties(&properties, options.device), "cudaGetDeviceProperties"));
  if (options.capacity > properties.totalGlobalMem) {
    return InvalidArgumentError("device capacity " + FormatBytes(options.capacity) + " asked, " + properties.name +
                                " has " + FormatBytes(properties.totalGlobalMem));
  }
  TIERLIB_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Create(options, driver));
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<EventClock> clock, EventClock::Create());
  DeviceInfo info;
  info.name = properties.name;
  info.device = options.device;
  info.capacity = memory.capacity();
  info.granularity = memory.granularity();
  info.base_alignment = info.granularity;
  info.numa_node = NodeOfDevice(options.device);
  info.reserves_at = memory.maps_to();
  info.runs_host_kernels = memory.managed != nullptr;
  return std::unique_ptr<DeviceBackend>(
      new CudaDevice(std::move(info), driver, context, std::move(memory), std::move(clock), properties.memPitch));
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
