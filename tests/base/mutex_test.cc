#include "base/mutex.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace tierlib {
namespace {

bool IsLocked(Mutex& mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  bool locked = false;
  std::thread asking([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    locked = !mutex.TryLock();
    if (!locked) mutex.Unlock();
  });
  asking.join();
  return locked;
}

TEST(MutexUnlock, GivesTheLockBackForAsLongAsItLives) {
  Mutex mutex;
  MutexLock lock(mutex);
  {
    MutexUnlock unlock(mutex);
    EXPECT_FALSE(IsLocked(mutex));
  }
  EXPECT_TRUE(IsLocked(mutex));
}

TEST(MutexUnlock, LocksAgainWhereWorkThrows) {
  Mutex mutex;
  MutexLock lock(mutex);
  try {
    MutexUnlock unlock(mutex);
    throw std::runtime_error("work");
  } catch (const std::runtime_error&) {
    EXPECT_TRUE(IsLocked(mutex));
  }
}

}  // namespace
}  // namespace tierlib
