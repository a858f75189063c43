// Owner: who has the memory at an address. See Runtime::OwnerOf.
//
// The first question about a pool makes a map of its blocks, under the pool's lock, which is kept from then on and
// costs each allocation and free of that pool some cold cache lines. After that, an address is looked up without a
// lock, however many threads allocate and free meanwhile: a block that is taken or freed during the look-up is told as
// it was before or after, never as a mix. An address in no pool is looked up in registered memory, under a lock, and
// with DeviceBacking::kMallocAsync among the device's live blocks before that, under theirs: there freed memory is the
// device's, and not found. Memory that the program's own allocator gave for a reload is nowhere.
#ifndef TIERLIB_OWNER_H_
#define TIERLIB_OWNER_H_

#include <cstddef>
#include <cstdint>

#include "tierlib/storage_id.h"
#include "tierlib/tier.h"

namespace tierlib {

enum class BlockState : std::uint8_t {
  kLive,     // in a block that is handed out
  kFree,     // memory of a pool that is not handed out now: work enqueued before it was freed may still use it
  kAdopted,  // the program's own, registered as a storage
};

// "live", "free", "adopted".
constexpr const char* BlockStateName(BlockState state) {
  switch (state) {
    case BlockState::kLive: return "live";
    case BlockState::kFree: return "free";
    case BlockState::kAdopted: return "adopted";
  }
  return "?";
}

inline constexpr std::uint64_t kNoPool = ~std::uint64_t{0};

struct Owner {
  Tier tier = Tier::kDevice;
  BlockState state = BlockState::kFree;
  int device = 0;                // whose memory it is, or which the host memory serves
  int numa_node = -1;            // that a pinned block was asked for on, or that the device is at; -1: not known
  std::uint64_t pool = kNoPool;  // number of the pool in its runtime; kNoPool of adopted memory
  // Whose bytes the block holds: those of a registered storage, or what was saved of one, which may be retired since.
  // Not valid for a free address, for a block of a HostMemoryResource, and until a block that was taken has its
  // storage.
  StorageId storage;
  // Of the address in its block, and of the block in its pool. 0, with 0 bytes, for a free address; adopted memory and
  // that of kMallocAsync have no pool that they could lie in: block_offset is 0.
  std::uint64_t offset = 0;
  std::uint64_t block_offset = 0;
  std::uint64_t block_bytes = 0;  // as rounded by the pool
  const char* tag = "";           // what the pool books the block under; lives for ever
};

}  // namespace tierlib

#endif  // TIERLIB_OWNER_H_
