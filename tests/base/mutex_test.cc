#include "base/mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

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

class MutexWaiters : public testing::TestWithParam<Mutex::Waiters> {};

TEST_P(MutexWaiters, AreNeverInBesideAnother) {
  constexpr int kThreads = 4;
  constexpr int kTimes = 200'000 / TIERLIB_RANDOM_SCALE;
  constexpr int kOften = 100;
  Mutex mutex(GetParam());
  int inside = 0;
  int beside = 0;
  int times = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int time = 0; time < kTimes; ++time) {
        MutexLock lock(mutex);
        beside += inside++;
        ++times;
        if (time % kOften == 0) std::this_thread::yield();  // so that others find it locked
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(times, kThreads * kTimes);
  EXPECT_EQ(beside, 0);
}

// Held until after the looks, among the naps, and for longer than all of them.
TEST_P(MutexWaiters, GetItHoweverLongItWasHeld) {
  for (const int milliseconds : {0, 1, 20}) {
    Mutex mutex(GetParam());
    bool held = true;
    std::thread waiter;
    {
      MutexLock lock(mutex);
      waiter = std::thread([&] {
        MutexLock waited(mutex);
        EXPECT_FALSE(held);
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      held = false;
    }
    waiter.join();
  }
}

INSTANTIATE_TEST_SUITE_P(All, MutexWaiters, testing::Values(Mutex::Waiters::kSleep, Mutex::Waiters::kTurns));

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
