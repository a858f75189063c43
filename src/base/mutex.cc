#include "base/mutex.h"

#include <chrono>
#include <thread>

namespace tierlib {
namespace {

// From 0.1 to 3.2 milliseconds. With 0.05 to 3.2 or 0.1 to 1.6 the pool's two threads are slower by some percent, with
// naps of one length up to 0.2 by half: what one thread has in its cache has to pay for taking it over.
constexpr std::chrono::microseconds kFirstNap{100};
constexpr int kNaps = 6;  // each twice as long as the one before

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Mutex::LockContended() {
  for (int pauses = 16; pauses <= 256; pauses *= 2) {  // each look takes the lock's cache line from its holder
    for (int i = 0; i < pauses; ++i) Pause();
    if (mutex_.try_lock()) return;
  }
  if (waiters_ == Waiters::kTurns) {
    for (int nap = 0; nap < kNaps; ++nap) {
      std::this_thread::sleep_for(kFirstNap * (1 << nap));
      if (mutex_.try_lock()) return;
    }
  }
  mutex_.lock();
}

}  // namespace tierlib
