#include "base/allocation_peak.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

// Atomic as other threads of the program may allocate too; then the peak is only nearly right.
std::atomic<std::int64_t> live{0};
std::atomic<std::int64_t> peak{0};

void* Take(std::size_t size) {
  void* const memory = std::malloc(size != 0 ? size : 1);
  if (memory == nullptr) return nullptr;
  const auto bytes = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (now > peak.load(std::memory_order_relaxed)) peak.store(now, std::memory_order_relaxed);
  return memory;
}

void GiveBack(void* memory) {
  live.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = Take(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Take(size); }
void operator delete(void* memory) noexcept { GiveBack(memory); }
void operator delete(void* memory, std::size_t) noexcept { GiveBack(memory); }

namespace tierlib {

AllocationPeak::AllocationPeak() : before_(live.load(std::memory_order_relaxed)) {
  peak.store(before_, std::memory_order_relaxed);
}

std::int64_t AllocationPeak::bytes() const { return peak.load(std::memory_order_relaxed) - before_; }

}  // namespace tierlib
