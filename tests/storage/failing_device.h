// FailingDevice: an emulated device that counts its events and fails where a test says so.
#ifndef TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_
#define TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "allocator/device_backend.h"
#include "allocator/device_factory.h"
#include "tierlib/options.h"

namespace tierlib {

class FailingDevice : public DeviceBackend {
 public:
  explicit FailingDevice(const DeviceOptions& options) : device_(MakeDevice(options).value()) {}

  // The next `calls` calls succeed, all later ones fail.
  struct Fuse {
    std::atomic<std::int64_t> calls{-1};  // negative: never
    std::atomic<bool> once{false};        // one fails, and those after it succeed
    std::atomic<std::uint64_t> count{0};  // of all calls so far
    Status Burn() {
      ++count;
      if (calls < 0) return OkStatus();
      if (calls == 0) {
        if (once) calls = -1;
        return UnavailableError("the test failed this call");
      }
      --calls;
      return OkStatus();
    }
  };
  Fuse create_event, record_event, event_done, copy, synchronize_stream;

  const DeviceInfo& info() const override { return device_->info(); }
  StatusOr<void*> Reserve(std::size_t bytes) override { return device_->Reserve(bytes); }
  Status Release(void* base, std::size_t bytes) override { return device_->Release(base, bytes); }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    device_->NoteBlock(base, bytes, live, stream);
  }
  Status PinHost(void* base, std::size_t bytes) override { return device_->PinHost(base, bytes); }
  Status UnpinHost(void* base, std::size_t bytes) override { return device_->UnpinHost(base, bytes); }
  StatusOr<Stream> CreateStream(std::string_view name) override { return device_->CreateStream(name); }
  Status DestroyStream(Stream stream) override { return device_->DestroyStream(stream); }
  Status SynchronizeStream(Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(synchronize_stream.Burn());
    return device_->SynchronizeStream(stream);
  }
  Status Synchronize() override { return device_->Synchronize(); }
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override { return device_->StreamNumber(stream); }
  bool Owns(Stream stream) const override { return device_->Owns(stream); }
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return device_->destroyed_streams(); }
  StatusOr<EventId> CreateEvent() override {
    TIERLIB_RETURN_IF_ERROR(create_event.Burn());
    return device_->CreateEvent();
  }
  void DestroyEvent(EventId event) override {
    ++destroyed_events;
    device_->DestroyEvent(event);
  }
  Status RecordEvent(EventId event, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(record_event.Burn());
    return device_->RecordEvent(event, stream);
  }
  Status WaitEvent(Stream stream, EventId event) override { return device_->WaitEvent(stream, event); }
  StatusOr<bool> EventDone(EventId event) override {
    TIERLIB_RETURN_IF_ERROR(event_done.Burn());
    return device_->EventDone(event);
  }
  Status SynchronizeEvent(EventId event) override { return device_->SynchronizeEvent(event); }
  std::int64_t EventTimeNs(EventId event) override { return device_->EventTimeNs(event); }
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    TIERLIB_RETURN_IF_ERROR(copy.Burn());
    return device_->Copy(runs, direction, stream);
  }
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    return device_->Fill(base, value, bytes, stream);
  }
  Status Launch(Stream stream, HostKernel kernel) override { return device_->Launch(stream, std::move(kernel)); }
  std::uint64_t CopiedBytes(CopyDirection direction) const override { return device_->CopiedBytes(direction); }
  Status health() const override { return device_->health(); }

  std::atomic<std::uint64_t> destroyed_events{0};

 private:
  const std::unique_ptr<DeviceBackend> device_;
};

inline DeviceOptions DeterministicDevice(std::uint64_t seed, std::uint64_t capacity = MiB(4)) {
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated.schedule = EmulatedSchedule::kDeterministic;
  options.emulated.seed = seed;
  options.emulated.kernel_threads = 1;
  options.emulated.poison = true;
  return options;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_STORAGE_FAILING_DEVICE_H_
