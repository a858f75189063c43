// DeviceRange: a range of a CUDA device's addresses, reserved once, and the physical memory mapped into it piece by
// piece (cuMemAddressReserve, cuMemCreate, cuMemMap). Pieces mapped one after the other are adjacent and ascending, so
// a pool that grows has one segment.
//
//   I1  what is mapped are the pieces of `pieces_`, and their sum is at most capacity()
//
// Thread-safety: Map and Unmap lock. REQUIRES everywhere, the destructor included: the device is the thread's current
// one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_RANGE_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/cuda/cuda_driver.h"
#include "allocator/cuda/piece_map.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class DeviceRange {
 public:
  // Reserves addresses for `capacity` bytes, rounded down to the device's granularity. Maps nothing yet.
  static StatusOr<std::unique_ptr<DeviceRange>> Create(const CudaDriver& driver, int ordinal, std::uint64_t capacity);
  // Unmaps everything. REQUIRES: no work that uses it is pending.
  ~DeviceRange();
  DeviceRange(const DeviceRange&) = delete;
  DeviceRange& operator=(const DeviceRange&) = delete;

  std::uint64_t capacity() const { return capacity_; }
  std::size_t granularity() const { return granularity_; }

  // ResourceExhausted, without a message, where neither the capacity nor the device holds `bytes` more.
  StatusOr<void*> Map(std::size_t bytes);
  // The same at `base`; ResourceExhausted also where something is mapped there, or it is beyond the range.
  Status MapTo(void* base, std::size_t bytes);
  // InvalidArgument where [base, base + bytes) is not a piece. REQUIRES: no work that uses it is pending.
  Status Unmap(void* base, std::size_t bytes);

 private:
  DeviceRange(const CudaDriver& driver, int ordinal) : driver_(driver), ordinal_(ordinal) {}
  Status CheckBytes(std::size_t bytes) const;
  Status MapAt(CUdeviceptr address, std::size_t bytes, CUmemGenericAllocationHandle* handle);
  Status MapPiece(std::uint64_t offset, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CudaDriver driver_;
  const int ordinal_;
  CUdeviceptr base_ = 0;
  std::uint64_t capacity_ = 0;
  std::size_t granularity_ = 0;
  Mutex mutex_;
  PieceMap pieces_ ABSL_GUARDED_BY(mutex_){0};  // offsets from base_; a piece's handle is that of its physical memory
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_RANGE_H_
