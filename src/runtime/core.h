// Core: what a Runtime and all handles of it share. Handles keep it alive after the Runtime is gone.
//
// Thread-safety: all functions may be called from any thread.
#ifndef TIERLIB_SRC_RUNTIME_CORE_H_
#define TIERLIB_SRC_RUNTIME_CORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "graph/saved_store.h"
#include "runtime/capture.h"
#include "tierlib/options.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "trace/recorder.h"

namespace tierlib::internal {

class Core {
 public:
  // `system_root` stands before the /proc and /sys in which the limits of this process are read: a test's own folder.
  static StatusOr<std::shared_ptr<Core>> Create(Options options, const std::string& system_root = "");

  const Options& options() const { return options_; }
  const std::shared_ptr<SavedStore>& store() const { return store_; }
  trace::Recorder* recorder() const { return store_->recorder(); }

  // REQUIRES: `device` is among the options' devices.
  DeviceTier& tier(int device) const { return **store_->FindTier(device); }
  DeviceBackend& backend(int device) const { return *tier(device).backend; }

  void BeginStep(std::uint64_t step);
  void BeginBackward();
  void EndStep();
  Captures& captures() { return captures_; }
  // As Captures::Find. In a child made by fork there are none, and the store refuses.
  StatusOr<std::shared_ptr<Capture>> CaptureOn(Stream stream) const {
    if (store_->fork().in_child()) return std::shared_ptr<Capture>();
    return captures_.Find(stream, *store_);
  }
  std::shared_ptr<Capture> CaptureOf(StorageId id) const {
    return store_->fork().in_child() ? nullptr : captures_.Find(id);
  }
  std::uint64_t step() const { return step_.load(std::memory_order_relaxed); }
  Statistics statistics() const;

 private:
  explicit Core(Options options) : options_(std::move(options)) {}

  const Options options_;
  std::shared_ptr<SavedStore> store_;
  Captures captures_;  // which go before the store
  std::atomic<std::uint64_t> step_{0};
  mutable Mutex mutex_;
  Ledger at_begin_ ABSL_GUARDED_BY(mutex_);
  Ledger last_step_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::internal

#endif  // TIERLIB_SRC_RUNTIME_CORE_H_
