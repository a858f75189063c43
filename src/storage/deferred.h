// Deferred: work that must not run under the store's lock (a program's deleters and allocators), kept until the lock is
// gone.
//
// Thread-safety: all functions may be called from any thread. Run must be called without the store's lock.
#ifndef TIERLIB_SRC_STORAGE_DEFERRED_H_
#define TIERLIB_SRC_STORAGE_DEFERRED_H_

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace tierlib {

class Deferred {
 public:
  // Runs what is left: memory of the program must not stay behind.
  ~Deferred() { Run(); }

  void Later(std::function<void()> work) {
    MutexLock lock(mutex_);
    work_.push_back(std::move(work));
    pending_.store(true, std::memory_order_release);
  }

  bool pending() const { return pending_.load(std::memory_order_acquire); }

  // Runs what is there, in order, on this thread.
  void Run() {
    while (pending()) {
      std::vector<std::function<void()>> work;
      {
        MutexLock lock(mutex_);
        work.swap(work_);
        pending_.store(false, std::memory_order_release);
      }
      for (auto& item : work) item();
    }
  }

 private:
  Mutex mutex_;
  std::vector<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> pending_{false};
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DEFERRED_H_
