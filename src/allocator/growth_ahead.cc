#include "allocator/growth_ahead.h"

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "allocator/forwarding_source.h"
#include "base/fork_mark.h"
#include "base/mutex.h"

namespace tierlib {
namespace {

//   G1  the source below has grown by taken_ + ready_ bytes, while growing_ by no one knows how much more
//   G2  the source below is called by the thread while growing_, by others while not, under the lock
class GrowthAhead : public ForwardingSource {
 public:
  GrowthAhead(std::unique_ptr<MemorySource> source, std::size_t piece)
      : ForwardingSource(std::move(source)), piece_(piece) {}

  ~GrowthAhead() override {
    if (fork_.in_child()) {  // the thread is the parent's: nobody is to wait for it, or for what it waited on
      std::construct_at(&changed_);
      std::construct_at(&thread_);
      return;
    }
    {
      MutexLock lock(mutex_);
      ending_ = true;
      changed_.NotifyAll();
    }
    if (thread_.joinable()) thread_.join();
  }

  std::size_t grown() const override {
    MutexLock lock(mutex_);
    return taken_;
  }
  // What is ready is locked like the rest; where a limit leaves some memory unlocked that is the end, and so ready.
  std::size_t locked() const override {
    MutexLock lock(mutex_);
    return std::min(locked_, taken_ - absent_);
  }

  Status Grow(std::size_t bytes) override {
    if (bytes == 0 || bytes % granularity() != 0) {
      return InvalidArgumentError("growing by " + std::to_string(bytes) + " bytes: not a multiple of " +
                                  std::to_string(granularity()));
    }
    MutexLock lock(mutex_);
    if (bytes > ready_) AwaitThread();
    if (bytes > ready_) {
      TIERLIB_RETURN_IF_ERROR(below().Grow(bytes - ready_));
      ready_ = bytes;
      locked_ = below().locked();
    }
    taken_ += bytes;
    ready_ -= bytes;
    AskForMore();
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    MutexLock lock(mutex_);
    AwaitThread();
    const StatusOr<std::size_t> returned = below().Shrink(ready_ + bytes);
    // Of a piece that is used in part everything stays, also what was ready of it.
    const std::size_t before = taken_;
    taken_ = std::min(taken_, below().grown());
    ready_ = below().grown() - taken_;
    locked_ = below().locked();
    absent_ = below().absent();
    if (!returned.ok()) return returned.status();
    return before - taken_;
  }

  Status Discard(std::size_t offset, std::size_t bytes) override {
    MutexLock lock(mutex_);
    AwaitThread();
    Status status = below().Discard(offset, bytes);
    locked_ = below().locked();
    absent_ = below().absent();
    return status;
  }
  Status Commit(std::size_t offset, std::size_t bytes) override {
    MutexLock lock(mutex_);
    AwaitThread();
    Status status = below().Commit(offset, bytes);
    locked_ = below().locked();
    absent_ = below().absent();
    return status;
  }
  std::size_t absent() const override {
    MutexLock lock(mutex_);
    return absent_;
  }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override {
    MutexLock lock(mutex_);
    if (absent_ == 0) return 0;
    while (growing_) changed_.Wait(mutex_);
    return below().AbsentIn(offset, bytes);
  }
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const override {
    MutexLock lock(mutex_);
    if (absent_ == 0) return 0;
    while (growing_) changed_.Wait(mutex_);
    return below().MissingFor(offset, bytes);
  }

 private:
  // Until the thread neither grows nor is about to.
  void AwaitThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    asked_ = false;
    while (growing_) changed_.Wait(mutex_);
  }

  void AskForMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { Run(); });
      } catch (const std::system_error&) {
        return;
      }
    }
    asked_ = true;
    changed_.NotifyAll();
  }

  void Run() {
    MutexLock lock(mutex_);
    while (!ending_) {
      if (!asked_) {
        changed_.Wait(mutex_);
        continue;
      }
      asked_ = false;
      const std::size_t left = below().capacity() / granularity() * granularity() - taken_ - ready_;
      const std::size_t bytes = std::min(piece_ - std::min(piece_, ready_), left);
      if (bytes == 0) continue;
      growing_ = true;
      const bool grown = GrowUnlocked(bytes);
      growing_ = false;
      if (grown) {
        ready_ += bytes;
        locked_ = below().locked();
      }
      changed_.NotifyAll();
    }
  }

  bool GrowUnlocked(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const MutexUnlock unlocked(mutex_);
    try {
      return below().Grow(bytes).ok();
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  const ForkMark fork_;
  const std::size_t piece_;
  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;   // bytes that Grow handed out
  std::size_t ready_ ABSL_GUARDED_BY(mutex_) = 0;   // bytes behind them
  std::size_t locked_ ABSL_GUARDED_BY(mutex_) = 0;  // of both
  std::size_t absent_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes that Discard gave back, of what was taken
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;      // the thread is to look whether to grow
  bool growing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // touched by Grow and the destructor alone
};

}  // namespace

std::unique_ptr<MemorySource> GrowAhead(std::unique_ptr<MemorySource> source, std::size_t piece) {
  return std::make_unique<GrowthAhead>(std::move(source), piece);
}

}  // namespace tierlib
