#include "allocator/emulated/emulated_device.h"

#include <array>
#include <atomic>
#include <cmath>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "allocator/emulated/arena.h"
#include "allocator/emulated/captures.h"
#include "allocator/emulated/engines.h"
#include "allocator/emulated/event_table.h"
#include "allocator/emulated/graphs.h"
#include "allocator/emulated/health.h"
#include "allocator/emulated/kernel_scope.h"
#include "allocator/emulated/ordered_memory.h"
#include "allocator/emulated/schedule.h"
#include "base/fork_mark.h"
#include "base/mutex.h"

namespace tierlib {
namespace {

using emulated::Arena;
using emulated::KernelScope;
using emulated::Recording;
using emulated::RecordingRef;

constexpr std::uint8_t kFresh = 0xCD;
constexpr std::uint8_t kFreed = 0xEF;
constexpr int kMaxKernelThreads = 1024;

// A device's calls throw nothing: where the host has no memory for them they say so.
template <typename Body>
auto Guarded(Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

Status InsideKernel() { return FailedPreconditionError("a kernel must not call the device"); }

// Of a captured recording nothing is known: each launch makes others.
Status RefuseCaptured(const char* call, const RecordingRef& recording) {
  if (recording == nullptr || recording->capture() == 0) return OkStatus();
  return FailedPreconditionError(absl::StrCat(call, ": the event was last recorded in a capture"));
}

class EmulatedDevice : public DeviceBackend {
 public:
  EmulatedDevice(const DeviceOptions& options, std::unique_ptr<Arena> arena)
      : arena_(std::move(arena)), ordered_memory_(*arena_), engines_(options.emulated) {
    info_.name = absl::StrCat("emulated:", options.device);
    info_.device = options.device;
    info_.capacity = arena_->capacity();
    info_.alignment = Arena::kGranularity;
    info_.granularity = Arena::kGranularity;
    info_.base_alignment = Arena::kBaseAlignment;
    info_.numa_node = options.emulated.numa_node;
    info_.reserves_at = true;
    info_.runs_host_kernels = true;
    info_.shape_only = options.emulated.schedule == EmulatedSchedule::kShapeOnly;
    info_.notes_blocks = options.emulated.poison && !info_.shape_only;
    switch (options.emulated.schedule) {
      case EmulatedSchedule::kThreaded: schedule_ = emulated::MakeThreadedSchedule(engines_); break;
      case EmulatedSchedule::kShapeOnly: schedule_ = emulated::MakeShapeOnlySchedule(); break;
      case EmulatedSchedule::kDeterministic:
        schedule_ = emulated::MakeDeterministicSchedule(options.emulated, engines_, *arena_, health_);
        break;
    }
  }

  ~EmulatedDevice() override {
    if (fork_.in_child()) LeaveBehind(std::move(schedule_));  // its threads are the parent's
  }

  const DeviceInfo& info() const override { return info_; }

  // --- Memory -------------------------------------------------------------------------------------------------------
  StatusOr<void*> Reserve(std::size_t bytes) override { return arena_->Reserve(bytes); }
  Status ReserveAt(void* base, std::size_t bytes) override { return arena_->ReserveAt(base, bytes); }
  Status Release(void* base, std::size_t bytes) override { return arena_->Release(base, bytes); }
  Status PinHost(void*, std::size_t) override { return OkStatus(); }
  Status UnpinHost(void*, std::size_t) override { return OkStatus(); }

  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    if (!info_.notes_blocks) return;
    health_.Report(Enqueue(stream, emulated::FillWork{base, bytes, live ? kFresh : kFreed}));
  }

  // --- Memory in stream order ---------------------------------------------------------------------------------------
  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(StreamNumber(stream).status());
    TIERLIB_RETURN_IF_ERROR(captures_.Refuse("AllocateInOrder", stream.handle));
    TIERLIB_ASSIGN_OR_RETURN(void* const block, ordered_memory_.Allocate(bytes, *schedule_));
    NoteBlock(block, *ordered_memory_.BlockBytes(block), /*live=*/true, stream);
    return block;
  }
  Status FreeInOrder(void* block, Stream stream) override {
    const std::optional<std::size_t> bytes = ordered_memory_.BlockBytes(block);
    if (!bytes) return InvalidArgumentError("freeing what AllocateInOrder did not hand out");
    TIERLIB_RETURN_IF_ERROR(StreamNumber(stream).status());
    TIERLIB_RETURN_IF_ERROR(captures_.Refuse("FreeInOrder", stream.handle));
    NoteBlock(block, *bytes, /*live=*/false, stream);
    const RecordingRef freed = ordered_memory_.FreedWith(block);
    const Status enqueued = Enqueue(stream, emulated::RecordWork{freed});
    if (enqueued.code() == StatusCode::kResourceExhausted) {  // without memory for that, the host waits
      TIERLIB_RETURN_IF_ERROR(schedule_->WaitForStream(stream.handle));
      freed->Complete();
    } else {
      TIERLIB_RETURN_IF_ERROR(enqueued);
    }
    ordered_memory_.Free(block);
    return OkStatus();
  }
  std::uint64_t ReservedInOrder() const override { return ordered_memory_.reserved(); }

  // --- Streams ------------------------------------------------------------------------------------------------------
  StatusOr<Stream> CreateStream(std::string_view name) override {
    const Stream stream{info_.device, next_stream_.fetch_add(1)};
    return Guarded([&]() -> StatusOr<Stream> {
      MutexLock lock(streams_mutex_);
      streams_.reserve(streams_.size() + 1);
      TIERLIB_RETURN_IF_ERROR(schedule_->AddStream(stream.handle, name));
      streams_.insert(stream.handle);
      return stream;
    });
  }

  Status DestroyStream(Stream stream) override {
    NoteHostWait();
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    TIERLIB_RETURN_IF_ERROR(captures_.Refuse("DestroyStream", stream.handle));
    TIERLIB_RETURN_IF_ERROR(schedule_->RemoveStream(stream.handle));
    MutexLock lock(streams_mutex_);
    streams_.erase(stream.handle);
    destroyed_streams_.fetch_add(1, std::memory_order_release);
    return OkStatus();
  }

  Status SynchronizeStream(Stream stream) override {
    NoteHostWait();
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    return Guarded([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(captures_.Refuse("SynchronizeStream", stream.handle));
      const Status waited = Guarded([&]() -> Status {
        const auto recording = std::make_shared<Recording>();
        TIERLIB_RETURN_IF_ERROR(Enqueue(stream, emulated::RecordWork{recording}));
        return schedule_->WaitFor(*recording);
      });
      // Without memory for a recording it waits all the same: who gives memory back relies on it.
      const bool short_of_memory = waited.code() == StatusCode::kResourceExhausted;
      TIERLIB_RETURN_IF_ERROR(short_of_memory ? schedule_->WaitForStream(stream.handle) : waited);
      return health_.Get();
    });
  }

  Status Synchronize() override {
    NoteHostWait();
    if (KernelScope::Active()) return InsideKernel();
    if (captures_.any()) return FailedPreconditionError("Synchronize: a stream of the device is in a capture");
    TIERLIB_RETURN_IF_ERROR(Guarded([&] { return schedule_->WaitForAll(); }));
    return health_.Get();
  }

  StatusOr<std::uint64_t> StreamNumber(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    if (!Owns(stream)) return emulated::UnknownStream(stream.handle);
    return std::uint64_t{stream.handle};  // handles are not used again
  }

  bool Owns(Stream stream) const override {
    MutexLock lock(streams_mutex_);
    return stream.device == info_.device && streams_.contains(stream.handle);
  }

  const std::atomic<std::uint64_t>& destroyed_streams() const override { return destroyed_streams_; }

  // --- Events -------------------------------------------------------------------------------------------------------
  StatusOr<EventId> CreateEvent() override {
    return Guarded([&]() -> StatusOr<EventId> { return events_.Create(); });
  }
  void DestroyEvent(EventId event) override { events_.Destroy(event); }

  Status RecordEvent(EventId event, Stream stream) override {
    return Guarded([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(events_.Check(event));
      TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
      if (RecordingRef captured = captures_.Record(stream.handle)) {
        return events_.SetRecording(event, std::move(captured));
      }
      const auto recording = std::make_shared<Recording>();
      TIERLIB_RETURN_IF_ERROR(Enqueue(stream, emulated::RecordWork{recording}));
      return events_.SetRecording(event, recording);
    });
  }

  Status WaitEvent(Stream stream, EventId event) override {
    TIERLIB_ASSIGN_OR_RETURN(RecordingRef recording, events_.Find(event));
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    TIERLIB_ASSIGN_OR_RETURN(const bool captured, Guarded([&] { return captures_.Wait(stream.handle, recording); }));
    if (captured || recording == nullptr || recording->done()) return OkStatus();
    return Enqueue(stream, emulated::WaitWork{std::move(recording)});
  }

  StatusOr<bool> EventDone(EventId event) override {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_ASSIGN_OR_RETURN(const RecordingRef recording, events_.Find(event));
    TIERLIB_RETURN_IF_ERROR(RefuseCaptured("EventDone", recording));
    schedule_->Poll();
    TIERLIB_RETURN_IF_ERROR(health_.Get());
    return recording == nullptr || recording->done();
  }

  Status SynchronizeEvent(EventId event) override {
    NoteHostWait();
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_ASSIGN_OR_RETURN(const RecordingRef recording, events_.Find(event));
    TIERLIB_RETURN_IF_ERROR(RefuseCaptured("SynchronizeEvent", recording));
    if (recording != nullptr) TIERLIB_RETURN_IF_ERROR(schedule_->WaitFor(*recording));
    return health_.Get();
  }

  std::int64_t EventTimeNs(EventId event) override {
    const StatusOr<RecordingRef> recording = events_.Find(event);
    return recording.ok() && *recording != nullptr ? (*recording)->time_ns() : 0;
  }

  std::optional<std::int64_t> EventKernelNs(EventId event) override {
    const StatusOr<RecordingRef> recording = events_.Find(event);
    return recording.ok() && *recording != nullptr ? (*recording)->kernel_ns() : 0;
  }

  // --- Work ---------------------------------------------------------------------------------------------------------
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    emulated::CopyWork copy;
    copy.direction = direction;
    copy.runs.assign(runs.begin(), runs.end());
    for (const CopyRun& run : runs) {
      if (run.bytes > 0 && (run.destination == nullptr || run.source == nullptr)) {
        return InvalidArgumentError("a copy from or to a null address");
      }
      copy.bytes += run.bytes;
    }
    const std::size_t bytes = copy.bytes;
    TIERLIB_ASSIGN_OR_RETURN(const bool captured, EnqueueOrCapture(stream, std::move(copy)));
    if (!captured) copied_[static_cast<std::size_t>(direction)].fetch_add(bytes, std::memory_order_relaxed);
    return OkStatus();
  }

  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    if (base == nullptr && bytes > 0) return InvalidArgumentError("a fill of a null address");
    return Enqueue(stream, emulated::FillWork{base, bytes, value});
  }

  Status Launch(Stream stream, HostKernel kernel) override {
    if (!kernel.run && !info_.shape_only)
      return InvalidArgumentError(absl::StrCat("kernel ", kernel.name, " has no body"));
    return Enqueue(stream, std::move(kernel));
  }

  // --- Captured graphs ----------------------------------------------------------------------------------------------
  Status BeginCapture(Stream stream) override {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(StreamNumber(stream).status());
    return Guarded([&] { return captures_.Begin(stream.handle); });
  }

  StatusOr<GraphId> EndCapture(Stream stream) override {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    return Guarded([&]() -> StatusOr<GraphId> {
      TIERLIB_ASSIGN_OR_RETURN(emulated::Graph graph, captures_.End(stream.handle));
      std::vector<emulated::StreamHandle> streams(graph.lanes);
      for (emulated::StreamHandle& lane : streams) lane = next_stream_.fetch_add(1);
      return graphs_.Add(std::move(graph), std::move(streams), *schedule_);
    });
  }

  bool InCapture(Stream stream) const override { return stream.device == info_.device && captures_.Has(stream.handle); }

  Status LaunchGraph(GraphId graph, Stream stream) override {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(StreamNumber(stream).status());
    TIERLIB_RETURN_IF_ERROR(captures_.Refuse("LaunchGraph", stream.handle));
    const auto copied = Guarded([&] { return graphs_.Launch(graph, stream.handle, *schedule_); });
    if (!copied.ok() && copied.status().code() != StatusCode::kInvalidArgument) health_.Report(copied.status());
    TIERLIB_RETURN_IF_ERROR(copied.status());
    for (std::size_t i = 0; i < copied_.size(); ++i) copied_[i].fetch_add((*copied)[i], std::memory_order_relaxed);
    return OkStatus();
  }

  Status DestroyGraph(GraphId graph) override {
    if (KernelScope::Active()) return InsideKernel();
    return Guarded([&] { return graphs_.Remove(graph, *schedule_); });
  }

  std::uint64_t CopiedBytes(CopyDirection direction) const override {
    return copied_[static_cast<std::size_t>(direction)].load(std::memory_order_relaxed);
  }
  std::uint64_t host_waits() const override { return host_waits_.load(std::memory_order_relaxed); }
  Status health() const override { return health_.Get(); }

 private:
  void NoteHostWait() { host_waits_.fetch_add(1, std::memory_order_relaxed); }
  Status CheckDevice(Stream stream) const {
    if (stream.device == info_.device) return OkStatus();
    return InvalidArgumentError(
        absl::StrCat("stream ", stream.handle, " of device ", stream.device, " was given to device ", info_.device));
  }

  Status Enqueue(Stream stream, emulated::Work work) { return EnqueueOrCapture(stream, std::move(work)).status(); }

  // True where the work became a part of a graph.
  StatusOr<bool> EnqueueOrCapture(Stream stream, emulated::Work work) {
    if (KernelScope::Active()) return InsideKernel();
    TIERLIB_RETURN_IF_ERROR(CheckDevice(stream));
    return Guarded([&]() -> StatusOr<bool> {
      if (captures_.Add(stream.handle, work)) return true;
      TIERLIB_RETURN_IF_ERROR(schedule_->Enqueue(stream.handle, std::move(work)));
      return false;
    });
  }

  const ForkMark fork_;
  DeviceInfo info_;
  std::unique_ptr<Arena> arena_;
  emulated::OrderedMemory ordered_memory_;
  emulated::Health health_;
  emulated::Engines engines_;
  emulated::EventTable events_;
  emulated::Captures captures_;
  emulated::Graphs graphs_;
  std::atomic<std::uintptr_t> next_stream_{1};
  std::atomic<std::uint64_t> destroyed_streams_{0};
  mutable Mutex streams_mutex_;
  absl::flat_hash_set<std::uintptr_t> streams_ ABSL_GUARDED_BY(streams_mutex_);  // handles of those that exist
  std::array<std::atomic<std::uint64_t>, 3> copied_ = {};
  std::atomic<std::uint64_t> host_waits_{0};
  std::unique_ptr<emulated::Schedule> schedule_;  // last: it uses the members above until it ends
};

Status CheckOptions(const EmulatedOptions& options) {
  if (options.strict && options.schedule != EmulatedSchedule::kDeterministic) {
    return InvalidArgumentError(
        "emulated.strict needs the deterministic schedule: protected bytes are opened for one thing at a time");
  }
  if (options.kernel_threads < 0 || options.kernel_threads > kMaxKernelThreads) {
    return InvalidArgumentError(
        absl::StrCat("emulated.kernel_threads ", options.kernel_threads, ": not in 0 to ", kMaxKernelThreads));
  }
  for (const double bandwidth : {options.copy_out_bytes_per_s, options.copy_in_bytes_per_s}) {
    if (std::isfinite(bandwidth) && bandwidth >= 0) continue;
    return InvalidArgumentError(absl::StrCat("emulated copy bandwidth ", bandwidth, " B/s: not a finite number >= 0"));
  }
  return OkStatus();
}

Arena::Protection ProtectionFor(const EmulatedOptions& options) {
  if (options.schedule == EmulatedSchedule::kShapeOnly) return Arena::Protection::kNever;
  return options.strict ? Arena::Protection::kGated : Arena::Protection::kOpen;
}

}  // namespace

StatusOr<std::unique_ptr<DeviceBackend>> MakeEmulatedDevice(const DeviceOptions& options) {
  TIERLIB_RETURN_IF_ERROR(CheckOptions(options.emulated));
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<Arena> arena,
                           Arena::Create(options.capacity, ProtectionFor(options.emulated)));
  return std::unique_ptr<DeviceBackend>(std::make_unique<EmulatedDevice>(options, std::move(arena)));
}

}  // namespace tierlib
