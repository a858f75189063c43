// Health: the first error of a device that no call could return. Later ones are dropped: they tend to follow from it.
//
// Thread-safety: every function may be called from several threads.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_HEALTH_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_HEALTH_H_

#include <atomic>
#include <utility>

#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class Health {
 public:
  void Report(Status error) {
    if (error.ok()) return;
    MutexLock lock(mutex_);
    if (first_.ok()) first_ = std::move(error);
    failed_.store(true, std::memory_order_release);
  }
  Status Get() const {
    if (!failed_.load(std::memory_order_acquire)) return OkStatus();
    MutexLock lock(mutex_);
    return first_;
  }

 private:
  std::atomic<bool> failed_{false};  // so that asking a healthy device costs no lock
  mutable Mutex mutex_;
  Status first_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_HEALTH_H_
