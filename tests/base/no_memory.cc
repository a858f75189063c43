#include "base/no_memory.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace tierlib {
namespace {

struct Supply {
  bool ends = false;
  std::uint64_t left = 0;  // allocations that succeed yet, where it ends
  std::uint64_t failures = 0;
};
constinit thread_local Supply supply;

void* AllocateOrNull(std::size_t bytes, std::size_t alignment) {
  if (supply.ends && supply.left == 0) {
    ++supply.failures;
    return nullptr;
  }
  if (supply.ends) --supply.left;
  bytes = bytes == 0 ? 1 : bytes;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(bytes);
  void* data = nullptr;
  return posix_memalign(&data, alignment, bytes) == 0 ? data : nullptr;
}

void* Allocate(std::size_t bytes, std::size_t alignment) {
  void* const data = AllocateOrNull(bytes, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

NoMemory::NoMemory(std::uint64_t served) { supply = {.ends = true, .left = served}; }
NoMemory::~NoMemory() { supply = {}; }
std::uint64_t NoMemory::failures() const { return supply.failures; }

}  // namespace tierlib

// The other forms of new and delete come down to these.
void* operator new(std::size_t bytes) { return tierlib::Allocate(bytes, 1); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return tierlib::AllocateOrNull(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return tierlib::Allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
