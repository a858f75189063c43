// std::mutex with the annotations that clang's -Wthread-safety checks. (Debian's absl::Mutex is not instrumented and
// gives false races under ThreadSanitizer.)
#ifndef TIERLIB_SRC_BASE_MUTEX_H_
#define TIERLIB_SRC_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace tierlib {

// Who finds it locked looks again for some microseconds before it sleeps: most locks here are held for less than a
// sleeper takes to wake up.
//
// Under kTurns it then naps, for longer each time, before it sleeps until it is woken. Threads that do nothing but use
// what the lock guards so take turns: each works alone for a while, with what is guarded in its processor's cache, in
// place of taking all of it over from the other at each call. Who has napped may have slept as long again as it had to.
class ABSL_LOCKABLE Mutex {
 public:
  enum class Waiters { kSleep, kTurns };

  constexpr Mutex() = default;
  constexpr explicit Mutex(Waiters waiters) : waiters_(waiters) {}

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if (!mutex_.try_lock()) LockContended();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;

  void LockContended();  // returns with the lock

  std::mutex mutex_;
  const Waiters waiters_ = Waiters::kSleep;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// The reverse: gives the mutex back for as long as it lives, and takes it again however the scope is left. clang's
// analysis takes the mutex as held meanwhile: touch nothing that it guards.
class MutexUnlock {
 public:
  explicit MutexUnlock(Mutex& mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS : mutex_(mutex) { mutex_.Unlock(); }
  ~MutexUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }
  MutexUnlock(const MutexUnlock&) = delete;
  MutexUnlock& operator=(const MutexUnlock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  // Releases `mutex` while waiting. Wake-ups may be spurious: call in a loop over the condition.
  void Wait(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // As Wait, until base/clock.h's NowNs() reaches `deadline_ns`; false where it has.
  bool WaitUntil(Mutex& mutex, std::int64_t deadline_ns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    // The steady clock is CLOCK_MONOTONIC, and counts in nanoseconds from the same zero.
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_MUTEX_H_
