#include "base/allocation_count.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::int64_t> allocations{0};
thread_local std::int64_t thread_allocations = 0;

void Count() {
  allocations.fetch_add(1, std::memory_order_relaxed);
  ++thread_allocations;
}
}  // namespace

void* operator new(std::size_t size) {
  Count();
  void* memory = std::malloc(size != 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  Count();
  return std::malloc(size != 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tierlib {
std::int64_t AllocationCount() { return allocations.load(std::memory_order_relaxed); }
std::int64_t ThreadAllocationCount() { return thread_allocations; }
}  // namespace tierlib
