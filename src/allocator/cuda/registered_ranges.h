// RegisteredRanges: the ranges of host memory that are registered with a CUDA device. A copy that crosses the border of
// one is refused by the driver, also where the next range begins there.
//
// Thread-safety: callers lock.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_REGISTERED_RANGES_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_REGISTERED_RANGES_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/btree_map.h"

namespace tierlib {

class RegisteredRanges {
 public:
  // REQUIRES: not empty, and no byte of it in another range.
  void Add(const void* base, std::size_t bytes);
  // Removes the range that begins at `base`, where there is one.
  void Remove(const void* base);
  bool Contains(const void* address) const;
  // The lowest address above `address` at which a range begins or ends; the highest there is where none does.
  std::uintptr_t NextBorder(std::uintptr_t address) const;

 private:
  absl::btree_map<std::uintptr_t, std::uintptr_t> ends_;  // by beginning
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_REGISTERED_RANGES_H_
