// OrderedMemory: blocks of an emulated device straight from its arena, in stream order, with no pool: what
// cudaMallocAsync is on a CUDA device.
//
// A block that was freed goes back to the arena once the work before the free has ended. Allocate waits for that only
// where the arena has no room without it.
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_ORDERED_MEMORY_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_ORDERED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "allocator/emulated/arena.h"
#include "allocator/emulated/schedule.h"
#include "allocator/emulated/work.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class OrderedMemory {
 public:
  // REQUIRES: the arena outlives it.
  explicit OrderedMemory(Arena& arena) : arena_(arena) {}

  // `bytes` rounded up to the arena's granularity. ResourceExhausted without a message where the arena has no room,
  // also once all that was freed is back.
  StatusOr<void*> Allocate(std::size_t bytes, Schedule& schedule);
  // Size of a live block, rounded; nullopt where it is none.
  std::optional<std::size_t> BlockBytes(const void* block) const;
  // What is to complete when the work before the block's free has ended: made with the block, so that giving it back
  // needs no memory. REQUIRES: a live block.
  RecordingRef FreedWith(const void* block) const;
  // Takes the block back once that has completed. REQUIRES: a live block.
  void Free(void* block);
  // Bytes of live blocks, and of freed ones that are not back yet.
  std::uint64_t reserved() const;

 private:
  struct Block {
    void* block = nullptr;
    std::size_t bytes = 0;
    RecordingRef freed;
  };
  void GiveBackEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Arena& arena_;
  mutable Mutex mutex_;
  std::list<Block> blocks_ ABSL_GUARDED_BY(mutex_);  // that are live, in no order
  absl::flat_hash_map<const void*, std::list<Block>::iterator> live_ ABSL_GUARDED_BY(mutex_);
  std::list<Block> freed_ ABSL_GUARDED_BY(mutex_);  // oldest first
  std::uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_ORDERED_MEMORY_H_
