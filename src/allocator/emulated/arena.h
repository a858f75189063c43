// Arena: the memory of an emulated device, one address range with a capacity.
//
//   I1  pieces lie inside [base, base + capacity), do not overlap, and their sizes add up to reserved()
//   I2  only pages that hold a byte of a piece are ever accessible, and with kGated only between Open and Close
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_ARENA_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/container/btree_map.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class Arena {
 public:
  enum class Protection : std::uint8_t {
    kOpen,   // reserved bytes are ordinary memory
    kGated,  // any access outside Open/Close faults
    kNever,  // any access faults: there are no bytes
  };
  // Pieces are multiples of this.
  static constexpr std::size_t kGranularity = 256;
  static constexpr std::size_t kBaseAlignment = 4096;  // a page of any machine

  // Takes the address range and no memory. The capacity is rounded down to the granularity. ResourceExhausted names the
  // capacity where the address space does not hold it.
  static StatusOr<std::unique_ptr<Arena>> Create(std::uint64_t capacity, Protection protection);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A piece of `bytes`, right after the highest one while the capacity holds that, otherwise in the lowest gap that a
  // Release left. InvalidArgument for zero or for no multiple of the granularity; ResourceExhausted without a message.
  StatusOr<void*> Reserve(std::size_t bytes);
  // The same at `base`. ResourceExhausted, without a message, where that is beyond the capacity or overlaps a piece;
  // InvalidArgument where it is no address of the arena's at a multiple of the granularity.
  Status ReserveAt(void* base, std::size_t bytes);
  // InvalidArgument where [base, base + bytes) is not a piece.
  Status Release(void* base, std::size_t bytes);

  // Open and Close the gate of kGated; do nothing otherwise. REQUIRES: alternating calls.
  Status Open();
  Status Close();

  bool Contains(const void* address) const;
  std::size_t OffsetOf(const void* address) const;  // REQUIRES: Contains(address)
  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t reserved() const;

 private:
  Arena(std::byte* base, std::uint64_t capacity, Protection protection);
  // Where the next piece goes, or capacity_ where none of `bytes` fits.
  std::uint64_t Place(std::size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFree(std::uint64_t offset, std::size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes a piece there. REQUIRES: it is free.
  Status Take(std::uint64_t offset, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::uint64_t Top() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status Protect(std::uint64_t begin, std::uint64_t end, bool accessible) const;
  Status SetGate(bool open) ABSL_LOCKS_EXCLUDED(mutex_);

  std::byte* const base_;
  const std::uint64_t capacity_;
  const Protection protection_;
  mutable Mutex mutex_;
  absl::btree_map<std::uint64_t, std::uint64_t> pieces_ ABSL_GUARDED_BY(mutex_);  // offset to bytes
  std::uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
  bool gate_open_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_ARENA_H_
