// Capture: one step that is captured, or was, with the store, the streams and the memory that it has to itself
// (graph/captures.cc says why). Captures: those under way in a runtime.
//
// Thread-safety: all functions may be called from any thread.
#ifndef TIERLIB_SRC_RUNTIME_CAPTURE_H_
#define TIERLIB_SRC_RUNTIME_CAPTURE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/fork_mark.h"
#include "base/mutex.h"
#include "graph/saved_store.h"
#include "storage/capture_device.h"
#include "tierlib/captured_step.h"

namespace tierlib::internal {

class Capture {
 public:
  // The runtime's store is `outside`; `number` is of no other capture of it. As Runtime::BeginCapture.
  static StatusOr<std::shared_ptr<Capture>> Begin(std::shared_ptr<SavedStore> outside, int device,
                                                  const CaptureOptions& options, std::uint32_t number);
  // Ends what was not ended, and waits for launches.
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const std::vector<Stream>& streams() const { return streams_; }
  bool Owns(StorageId id) const { return id.valid() && id.slot >= first_slot_ && id.slot - first_slot_ < kSlots; }
  // Has announced a write of the runtime's storage: what is there from then on is of the capture.
  bool Writes(StorageId id) const;
  // By the thread that calls.
  bool WasBegunHere() const { return thread_ == std::this_thread::get_id(); }
  bool IsOf(const SavedStore* store) const { return outside_.get() == store; }

  // The verbs, for streams of the capture.
  StatusOr<Allocation> Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                std::uint64_t alignment);
  Status Retire(StorageId id, Stream stream);
  Status BeginWrite(StorageId id, Stream stream);
  Status Derive(const View& derived, const View& source, Replay replay);
  Status Recomputes(const View& value, Recompute recompute);
  StatusOr<Saved> Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label);
  StatusOr<Loaded> Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version);
  void BeginBackward() { store_->BeginBackward(); }

  // As Runtime::EndCapture and Runtime::Launch. After an error of End there is no graph.
  Status End();
  Status Launch(Stream stream);
  CapturedStatistics statistics() const;

 private:
  class Memory;
  static constexpr std::uint32_t kSlots = std::uint32_t{1} << 20;  // of storages in one capture

  Capture(std::shared_ptr<SavedStore> outside, std::uint32_t number);
  Status TakeMemory(int device, const CaptureOptions& options);
  Status MakeStore(int device, const CaptureOptions& options);
  Status Fork();
  Status Join();
  // The storage as the capture's store has it. One of the runtime is lent, and kept while there is a graph.
  StatusOr<StorageId> Inside(StorageId id);
  StatusOr<View> Inside(const View& view);

  const ForkMark fork_;
  const std::thread::id thread_ = std::this_thread::get_id();
  const std::shared_ptr<SavedStore> outside_;
  const std::uint32_t first_slot_;
  DeviceTier* tier_ = nullptr;  // of the runtime's store
  std::shared_ptr<Memory> memory_;
  std::vector<Stream> streams_;  // the program's; the first is captured and the others join
  MarkRef ready_;                // the memory may be used by work after this
  CaptureDevice* device_ = nullptr;
  std::shared_ptr<SavedStore> store_;
  bool began_ = false;  // of the device, and has not ended
  GraphId graph_ = 0;
  CapturedStatistics statistics_;

  struct Lent {
    StorageId inside;
    std::shared_ptr<DeviceBuffer> buffer;
    std::string label;
    bool written = false;  // by each launch
  };
  mutable Mutex mutex_;
  absl::flat_hash_map<StorageId, Lent> lent_ ABSL_GUARDED_BY(mutex_);  // by the runtime's id
  std::vector<Keepalive> keeps_ ABSL_GUARDED_BY(mutex_);
};

class Captures {
 public:
  StatusOr<std::shared_ptr<Capture>> Begin(std::shared_ptr<SavedStore> outside, int device,
                                           const CaptureOptions& options);
  // Takes the capture that has the stream out of the list. FailedPrecondition where there is none.
  StatusOr<std::shared_ptr<Capture>> Take(Stream stream);
  // That which is under way on the stream; null where none is. FailedPrecondition for a stream that joined one and is
  // none of those that the capture was begun with.
  StatusOr<std::shared_ptr<Capture>> Find(Stream stream, SavedStore& outside) const;
  // That which made the storage or, of the runtime's, writes it; null where none does.
  std::shared_ptr<Capture> Find(StorageId id) const;
  std::vector<std::shared_ptr<Capture>> All() const;

 private:
  std::atomic<std::uint32_t> next_{0};
  std::atomic<int> count_{0};  // so that asking costs no lock where there are none
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<Capture>> captures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::internal

#endif  // TIERLIB_SRC_RUNTIME_CAPTURE_H_
