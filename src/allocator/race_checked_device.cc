#include "allocator/race_checked_device.h"

#include <atomic>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "allocator/forwarding_device.h"
#include "allocator/race_check.h"
#include "allocator/race_graphs.h"
#include "base/mutex.h"

namespace tierlib {
namespace {

race::Name NameOf(CopyDirection direction) {
  switch (direction) {
    case CopyDirection::kDeviceToHost: return {"copy out"};
    case CopyDirection::kHostToDevice: return {"copy in"};
    case CopyDirection::kDeviceToDevice: return {"copy on the device"};
  }
  return {"copy"};
}

// The lock is held while work is enqueued, so that the order told to `check_` is that of the device; not while the host
// waits.
class RaceCheckedDevice : public ForwardingDevice {
 public:
  explicit RaceCheckedDevice(std::unique_ptr<DeviceBackend> device)
      : ForwardingDevice(*device), device_(std::move(device)) {
    info_ = device_->info();
    info_.notes_blocks = true;
  }

  const DeviceInfo& info() const override { return info_; }

  // --- Memory -------------------------------------------------------------------------------------------------------
  Status Release(void* base, std::size_t bytes) override {
    GoesBack(base, bytes);
    return device_->Release(base, bytes);
  }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    MutexLock lock(mutex_);
    if (device_->info().notes_blocks) device_->NoteBlock(base, bytes, live, stream);
    Told(stream, {live ? "handing out a block" : "taking back a block"}, {{base, bytes, true}});
  }
  Status UnpinHost(void* base, std::size_t bytes) override {
    GoesBack(base, bytes);
    return device_->UnpinHost(base, bytes);
  }

  // --- Memory in stream order ---------------------------------------------------------------------------------------
  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    TIERLIB_ASSIGN_OR_RETURN(void* const block, device_->AllocateInOrder(bytes, stream));
    MutexLock lock(mutex_);
    in_order_[block] = bytes;
    return block;
  }
  Status FreeInOrder(void* block, Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->FreeInOrder(block, stream));
    const auto found = in_order_.find(block);
    if (found == in_order_.end()) return OkStatus();
    check_.Work(stream, {"freeing a block"}, {{block, found->second, true}});
    check_.Forget(block, found->second);
    in_order_.erase(found);
    return OkStatus();
  }

  // --- Streams ------------------------------------------------------------------------------------------------------
  StatusOr<Stream> CreateStream(std::string_view name) override {
    MutexLock lock(mutex_);
    TIERLIB_ASSIGN_OR_RETURN(const Stream stream, device_->CreateStream(name));
    check_.StreamBegins(stream, name);
    return stream;
  }
  Status DestroyStream(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(device_->DestroyStream(stream));
    MutexLock lock(mutex_);
    check_.StreamEnded(stream);
    return OkStatus();
  }
  Status SynchronizeStream(Stream stream) override {
    const RaceCheck::Clock before = Before(stream);
    return AfterWait(before, device_->SynchronizeStream(stream));
  }
  Status Synchronize() override {
    const RaceCheck::Clock before = Everything();
    return AfterWait(before, device_->Synchronize());
  }

  // --- Events -------------------------------------------------------------------------------------------------------
  void DestroyEvent(EventId event) override {
    MutexLock lock(mutex_);
    device_->DestroyEvent(event);
    graphs_.Destroyed(event);
    check_.Destroyed(event);
  }
  Status RecordEvent(EventId event, Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->RecordEvent(event, stream));
    if (!graphs_.Recorded(event, stream)) check_.Recorded(event, stream);
    return OkStatus();
  }
  Status WaitEvent(Stream stream, EventId event) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->WaitEvent(stream, event));
    if (!graphs_.Waits(stream, event)) check_.Waits(stream, event);
    return OkStatus();
  }
  StatusOr<bool> EventDone(EventId event) override {
    MutexLock lock(mutex_);
    TIERLIB_ASSIGN_OR_RETURN(const bool done, device_->EventDone(event));
    TIERLIB_RETURN_IF_ERROR(check_.first());
    if (done) check_.HostSaw(event);
    return done;
  }
  Status SynchronizeEvent(EventId event) override {
    const RaceCheck::Clock before = Before(event);
    return AfterWait(before, device_->SynchronizeEvent(event));
  }

  // --- Work ---------------------------------------------------------------------------------------------------------
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->Copy(runs, direction, stream));
    accesses_.clear();
    for (const CopyRun& run : runs) {
      accesses_.push_back({run.source, run.bytes, false});
      accesses_.push_back({run.destination, run.bytes, true});
    }
    Told(stream, NameOf(direction), accesses_);
    return OkStatus();
  }
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->Fill(base, value, bytes, stream));
    Told(stream, {"fill"}, {{base, bytes, true}});
    return OkStatus();
  }
  Status Launch(Stream stream, HostKernel kernel) override {
    MutexLock lock(mutex_);
    accesses_.assign(kernel.accesses.begin(), kernel.accesses.end());
    const char* const name = kernel.name;
    TIERLIB_RETURN_IF_ERROR(device_->Launch(stream, std::move(kernel)));
    Told(stream, {"kernel ", name}, accesses_);
    return OkStatus();
  }

  // --- Captured graphs ----------------------------------------------------------------------------------------------
  Status BeginCapture(Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->BeginCapture(stream));
    graphs_.Begin(stream);
    return OkStatus();
  }
  StatusOr<GraphId> EndCapture(Stream stream) override {
    MutexLock lock(mutex_);
    StatusOr<GraphId> graph = device_->EndCapture(stream);
    graphs_.End(check_, stream, graph.ok() ? *graph : 0);
    return graph;
  }
  Status LaunchGraph(GraphId graph, Stream stream) override {
    MutexLock lock(mutex_);
    TIERLIB_RETURN_IF_ERROR(device_->LaunchGraph(graph, stream));
    graphs_.Launch(check_, graph, stream);
    return OkStatus();
  }
  Status DestroyGraph(GraphId graph) override {
    TIERLIB_RETURN_IF_ERROR(device_->DestroyGraph(graph));
    MutexLock lock(mutex_);
    graphs_.Destroy(check_, graph);
    return OkStatus();
  }

  Status health() const override {
    TIERLIB_RETURN_IF_ERROR(device_->health());
    MutexLock lock(mutex_);
    return check_.first();
  }

 private:
  void Told(Stream stream, race::Name name, absl::Span<const Access> accesses) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!graphs_.Work(stream, name, accesses)) check_.Work(stream, name, accesses);
  }
  void GoesBack(void* base, std::size_t bytes) {
    MutexLock lock(mutex_);
    check_.HostReleases(base, bytes);
  }
  template <typename End>
  RaceCheck::Clock Before(End end) const {
    MutexLock lock(mutex_);
    return check_.Before(end);
  }
  RaceCheck::Clock Everything() const {
    MutexLock lock(mutex_);
    return check_.Everything();
  }
  // `before` was taken before the wait that gave `status`.
  Status AfterWait(const RaceCheck::Clock& before, Status status) {
    TIERLIB_RETURN_IF_ERROR(status);
    MutexLock lock(mutex_);
    check_.HostSaw(before);
    return check_.first();
  }

  const std::unique_ptr<DeviceBackend> device_;
  DeviceInfo info_;
  mutable Mutex mutex_;
  RaceCheck check_ ABSL_GUARDED_BY(mutex_);
  RaceGraphs graphs_ ABSL_GUARDED_BY(mutex_);
  absl::InlinedVector<Access, 8> accesses_ ABSL_GUARDED_BY(mutex_);  // of the work that is being enqueued
  absl::flat_hash_map<const void*, std::size_t> in_order_ ABSL_GUARDED_BY(mutex_);  // bytes of blocks
};

}  // namespace

std::unique_ptr<DeviceBackend> MakeRaceCheckedDevice(std::unique_ptr<DeviceBackend> device) {
  return std::make_unique<RaceCheckedDevice>(std::move(device));
}

}  // namespace tierlib
