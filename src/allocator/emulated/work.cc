#include "allocator/emulated/work.h"

#include <thread>

#include "base/clock.h"

namespace tierlib::emulated {
namespace {

constexpr std::int64_t kSpinNs = 20'000;

}  // namespace

void Recording::Complete(std::int64_t kernel_ns) {
  kernel_ns_ = kernel_ns;
  time_ns_ = NowNs();
  done_.store(1, std::memory_order_release);
  done_.notify_all();
}

void Recording::Wait() const {
  if (done()) return;
  const std::int64_t deadline_ns = NowNs() + kSpinNs;
  while (!done() && NowNs() < deadline_ns) std::this_thread::yield();
  done_.wait(0, std::memory_order_acquire);
}

}  // namespace tierlib::emulated
