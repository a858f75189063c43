#include "allocator/kernel_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "allocator/emulated/kernel_scope.h"

namespace tierlib {
namespace {

std::atomic<std::uint64_t> kernel_allocations{0};

void* Allocate(std::size_t bytes, std::size_t alignment) {
  if (emulated::KernelScope::Active()) kernel_allocations.fetch_add(1, std::memory_order_relaxed);
  bytes = bytes == 0 ? 1 : bytes;
  void* data = nullptr;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    data = std::malloc(bytes);
  } else if (posix_memalign(&data, alignment, bytes) != 0) {
    data = nullptr;
  }
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

std::uint64_t EmulatedKernelAllocations() { return kernel_allocations.load(std::memory_order_relaxed); }

}  // namespace tierlib

// The other forms of new and delete come down to these.
void* operator new(std::size_t bytes) { return tierlib::Allocate(bytes, 1); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return tierlib::Allocate(bytes, 1);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return tierlib::Allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
