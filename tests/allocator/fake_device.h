// FakeDevice: a device of which the test decides what is complete and whose streams are its own, and that remembers
// which stream waited for which event.
#ifndef TIERLIB_TESTS_ALLOCATOR_FAKE_DEVICE_H_
#define TIERLIB_TESTS_ALLOCATOR_FAKE_DEVICE_H_

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "allocator/device_backend.h"

namespace tierlib {

class FakeDevice : public DeviceBackend {
 public:
  const DeviceInfo& info() const override { return info_; }
  StatusOr<void*> Reserve(std::size_t) override { return Status(StatusCode::kResourceExhausted); }
  Status Release(void*, std::size_t) override { return OkStatus(); }
  void NoteBlock(void*, std::size_t, bool, Stream) override {}
  Status PinHost(void* base, std::size_t bytes) override {
    if (pin_fails) return UnavailableError("the device is lost");
    pinned.emplace_back(base, bytes);
    return OkStatus();
  }
  Status UnpinHost(void* base, std::size_t bytes) override {
    const auto found = std::find(pinned.begin(), pinned.end(), std::pair(base, bytes));
    if (found == pinned.end()) return InternalError("never registered");
    pinned.erase(found);
    return OkStatus();
  }
  StatusOr<Stream> CreateStream(std::string_view) override { return Stream{0, ++streams_}; }
  Status DestroyStream(Stream) override { return OkStatus(); }
  Status SynchronizeStream(Stream stream) override {
    log.push_back("synchronize " + std::to_string(stream.handle));
    return OkStatus();
  }
  Status Synchronize() override { return OkStatus(); }
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override {
    ++numbers_asked;
    if (gone.contains(stream.handle)) return NotFoundError("no such stream");
    const auto number = numbers.find(stream.handle);
    return number == numbers.end() ? std::uint64_t{stream.handle} : number->second;
  }
  bool Owns(Stream stream) const override { return !gone.contains(stream.handle) && !foreign.contains(stream.handle); }
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return destroyed; }
  StatusOr<EventId> CreateEvent() override {
    existing.insert(++events_);
    return events_;
  }
  void DestroyEvent(EventId event) override { existing.erase(event); }
  Status RecordEvent(EventId event, Stream stream) override {
    if (stream.device != info_.device) return InvalidArgumentError("a stream of another device");
    if (gone.contains(stream.handle)) return NotFoundError("no such stream");
    if (!record_error.ok()) return record_error;
    if (pending.contains(event)) return InternalError("recorded again before it completed");
    pending.insert(event);
    log.push_back("record " + std::to_string(stream.handle));
    recorded_on[event] = stream.handle;
    return OkStatus();
  }
  Status WaitEvent(Stream stream, EventId event) override {
    if (!existing.contains(event)) return InternalError("no such event");
    log.push_back(std::to_string(stream.handle) + " waits for " + std::to_string(recorded_on[event]));
    waited.push_back(event);
    return OkStatus();
  }
  StatusOr<bool> EventDone(EventId event) override { return !pending.contains(event); }
  Status SynchronizeEvent(EventId event) override {
    pending.erase(event);
    return OkStatus();
  }
  std::int64_t EventTimeNs(EventId) override { return 0; }
  Status Copy(absl::Span<const CopyRun>, CopyDirection, Stream) override { return OkStatus(); }
  Status Fill(void*, std::uint8_t, std::size_t, Stream) override { return OkStatus(); }
  Status Launch(Stream, HostKernel) override { return UnimplementedError("no kernels"); }
  std::uint64_t CopiedBytes(CopyDirection) const override { return 0; }
  Status health() const override { return OkStatus(); }

  std::vector<std::string> log;  // "record 1", "2 waits for 1", by stream handle
  std::vector<EventId> waited;
  std::set<EventId> existing;
  std::set<EventId> pending;  // recorded and not complete; the test empties it
  std::map<EventId, std::uintptr_t> recorded_on;
  int numbers_asked = 0;                            // calls of StreamNumber
  std::atomic<std::uint64_t> destroyed{0};          // raised by the test where handles may stand for other streams
  std::set<std::uintptr_t> gone;                    // streams that do not exist any more
  std::set<std::uintptr_t> foreign;                 // those that the program made
  std::map<std::uintptr_t, std::uint64_t> numbers;  // of the streams that handles stand for; else the handle itself
  Status record_error;                              // what RecordEvent answers, where not OK
  std::vector<std::pair<void*, std::size_t>> pinned;
  bool pin_fails = false;

 private:
  DeviceInfo info_;
  std::uintptr_t streams_ = 0;
  EventId events_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_FAKE_DEVICE_H_
