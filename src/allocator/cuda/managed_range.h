// ManagedRange: memory that a CUDA device and the host reach at the same addresses (cudaMallocManaged), one piece of
// the whole capacity. What is handed out of it lies side by side in ascending order, as in a DeviceRange.
//
//   I1  what is handed out are the pieces of `pieces_`
//
// Thread-safety: Map and Unmap lock. REQUIRES of Create and the destructor: the device is the thread's current one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_MANAGED_RANGE_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_MANAGED_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/cuda/piece_map.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class ManagedRange {
 public:
  static constexpr std::size_t kGranularity = 4096;

  // Takes `capacity` bytes, rounded down to the granularity. Unimplemented where host and device cannot use such memory
  // at the same time; ResourceExhausted where there is none.
  static StatusOr<std::unique_ptr<ManagedRange>> Create(int ordinal, std::uint64_t capacity);
  // Frees everything. REQUIRES: no work that uses it is pending.
  ~ManagedRange();
  ManagedRange(const ManagedRange&) = delete;
  ManagedRange& operator=(const ManagedRange&) = delete;

  std::uint64_t capacity() const { return capacity_; }

  // ResourceExhausted, without a message, where no gap holds `bytes`.
  StatusOr<void*> Map(std::size_t bytes);
  // The same at `base`; ResourceExhausted also where something was handed out there, or it is beyond the range.
  Status MapTo(void* base, std::size_t bytes);
  // InvalidArgument where [base, base + bytes) is not a piece. REQUIRES: no work that uses it is pending.
  Status Unmap(void* base, std::size_t bytes);

 private:
  ManagedRange(std::byte* base, std::uint64_t capacity) : base_(base), capacity_(capacity), pieces_(capacity) {}

  std::byte* const base_;
  const std::uint64_t capacity_;
  Mutex mutex_;
  PieceMap pieces_ ABSL_GUARDED_BY(mutex_);  // offsets from base_; handles are not used
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_MANAGED_RANGE_H_
