// MallocPieces: memory of a CUDA device by plain cudaMalloc, up to a capacity: for devices without virtual memory
// management. Pieces are not adjacent, so a pool takes one, of the whole capacity.
//
// Thread-safety: all functions lock. REQUIRES everywhere, the destructor included: the device is the thread's current
// one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_MALLOC_PIECES_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_MALLOC_PIECES_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class MallocPieces {
 public:
  static constexpr std::size_t kGranularity = 256;  // what cudaMalloc aligns to, at least

  explicit MallocPieces(std::uint64_t capacity) : capacity_(capacity / kGranularity * kGranularity) {}
  // Frees everything. REQUIRES: no work that uses it is pending.
  ~MallocPieces();
  MallocPieces(const MallocPieces&) = delete;
  MallocPieces& operator=(const MallocPieces&) = delete;

  std::uint64_t capacity() const { return capacity_; }
  // ResourceExhausted, without a message, where neither the capacity nor the device holds `bytes` more.
  StatusOr<void*> Map(std::size_t bytes);
  // InvalidArgument where [base, base + bytes) is not a piece. REQUIRES: no work that uses it is pending.
  Status Unmap(void* base, std::size_t bytes);

 private:
  const std::uint64_t capacity_;
  Mutex mutex_;
  absl::flat_hash_map<void*, std::size_t> pieces_ ABSL_GUARDED_BY(mutex_);  // to bytes
  std::uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_MALLOC_PIECES_H_
