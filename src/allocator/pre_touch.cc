#include "allocator/pre_touch.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace tierlib {
namespace {

constexpr std::size_t kSlice = MiB(8);  // whole huge pages: two threads at one of them would wait for each other

class Touching {
 public:
  Touching(NumaTopology& topology, std::byte* begin, std::size_t bytes)
      : topology_(topology), begin_(begin), end_(begin + bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(begin);
    first_ = begin + (kSlice - address % kSlice);
    slices_ = 1 + (first_ >= end_ ? 0 : (static_cast<std::size_t>(end_ - first_) + kSlice - 1) / kSlice);
  }

  std::size_t slices() const { return slices_; }

  // Takes slices until none is left.
  void Run() {
    for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < slices_;) {
      std::byte* const from = i == 0 ? begin_ : first_ + (i - 1) * kSlice;
      std::byte* const to = std::min(end_, first_ + i * kSlice);
      const Status status = topology_.Touch(from, static_cast<std::size_t>(to - from));
      if (status.ok()) continue;
      next_.store(slices_, std::memory_order_relaxed);
      MutexLock lock(mutex_);
      if (status_.ok()) status_ = status;
    }
  }

  Status status() const {
    MutexLock lock(mutex_);
    return status_;
  }

 private:
  NumaTopology& topology_;
  std::byte* const begin_;
  std::byte* const end_;
  std::byte* first_ = nullptr;  // the first border between slices
  std::size_t slices_ = 0;
  std::atomic<std::size_t> next_{0};
  mutable Mutex mutex_;
  Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

Status PreTouch(NumaTopology& topology, std::byte* begin, std::size_t bytes, absl::Span<const int> cpus) {
  if (bytes < kTouchedInParallel || cpus.empty()) return topology.Touch(begin, bytes);
  Touching touching(topology, begin, bytes);
  const std::size_t count = std::min({cpus.size(), kMostTouchingThreads, touching.slices()});
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    while (threads.size() < count) {
      threads.emplace_back([&] {
        topology.RunOn(cpus);
        touching.Run();
      });
    }
  } catch (const std::system_error&) {
    touching.Run();  // with the threads that there are
  }
  for (std::thread& thread : threads) thread.join();
  return touching.status();
}

}  // namespace tierlib
