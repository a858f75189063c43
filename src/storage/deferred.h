// Deferred: work that must not run under the store's lock (a program's deleters and allocators), kept until the lock is
// gone.
//
// Work is made ahead, by whoever will put it off: then putting it off needs no memory, and so cannot fail.
//
// Thread-safety: all functions may be called from any thread. Run must be called without the store's lock.
#ifndef TIERLIB_SRC_STORAGE_DEFERRED_H_
#define TIERLIB_SRC_STORAGE_DEFERRED_H_

#include <atomic>
#include <memory>
#include <utility>

#include "base/mutex.h"

namespace tierlib {

class Deferred {
 public:
  class Work {
   public:
    virtual ~Work() = default;
    virtual void Run() = 0;

   private:
    friend class Deferred;
    std::unique_ptr<Work> next_;
  };
  // Work that calls `call`, which takes nothing.
  template <typename Call>
  static std::unique_ptr<Work> Of(Call call) {
    class Calling : public Work {
     public:
      explicit Calling(Call&& given) : call_(std::move(given)) {}
      void Run() override { call_(); }

     private:
      Call call_;
    };
    return std::make_unique<Calling>(std::move(call));
  }

  Deferred() = default;
  // Runs what is left: memory of the program must not stay behind.
  ~Deferred() { Run(); }
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  // REQUIRES: not null.
  void Later(std::unique_ptr<Work> work) noexcept {
    MutexLock lock(mutex_);
    Work* const added = work.get();
    (last_ == nullptr ? first_ : last_->next_) = std::move(work);
    last_ = added;
    pending_.store(true, std::memory_order_release);
  }

  bool pending() const { return pending_.load(std::memory_order_acquire); }

  // Runs what is there, in order, on this thread.
  void Run() {
    while (pending()) {
      std::unique_ptr<Work> work;
      {
        MutexLock lock(mutex_);
        work = std::move(first_);
        last_ = nullptr;
        pending_.store(false, std::memory_order_release);
      }
      while (work != nullptr) {
        work->Run();
        work = std::move(work->next_);
      }
    }
  }

 private:
  Mutex mutex_;
  std::unique_ptr<Work> first_ ABSL_GUARDED_BY(mutex_);  // which has the next one, and so on
  Work* last_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::atomic<bool> pending_{false};
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_DEFERRED_H_
