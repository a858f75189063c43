// OwnerIndex: who has an address, over all pools of a runtime and the memory that it adopted.
//
// Thread-safety: AddPool comes before everything else. Find may run beside everything: it is lock-free for an address
// that a BlockPool has; only then it asks direct pools, under their locks, and for adopted memory, under a lock that
// Adopt and Release hold for as long as they look a storage up.
#ifndef TIERLIB_SRC_STORAGE_OWNER_INDEX_H_
#define TIERLIB_SRC_STORAGE_OWNER_INDEX_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "base/mutex.h"
#include "storage/direct_pool.h"
#include "tierlib/owner.h"
#include "tierlib/storage_id.h"

namespace tierlib {

class OwnerIndex {
 public:
  // `pool` outlives the index. Pools are numbered in the order of these calls.
  void AddPool(const BlockPool& pool, int device);
  void AddPool(const DirectPool& pool, int device, int numa_node);

  // Memory of the program became / is no longer a storage's. Ranges may overlap; the one that starts last is found.
  void Adopt(const void* data, std::uint64_t bytes, StorageId storage, int device, int numa_node);
  void Release(const void* data, StorageId storage);

  // False where neither a pool nor a storage has the address.
  bool Find(const void* address, Owner* owner) const;

 private:
  template <typename T>
  struct Pool {
    const T* pool = nullptr;
    Owner whole;  // what all its addresses have in common
  };
  struct Adopted {
    std::uint64_t bytes = 0;
    int device = 0;
    int numa_node = -1;
  };

  // What the addresses of the next pool have in common.
  Owner Whole(Tier tier, int device, int numa_node) const;
  // Tells of a live block.
  static void Describe(const AddressMap::Found& place, Owner* owner);
  bool FindAdopted(std::uintptr_t address, Owner* owner) const;

  std::vector<Pool<BlockPool>> pools_;
  std::vector<Pool<DirectPool>> direct_;
  mutable Mutex mutex_;
  std::map<std::pair<std::uintptr_t, std::uint64_t>, Adopted> adopted_ ABSL_GUARDED_BY(mutex_);  // by start and storage
  std::uint64_t longest_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes of the longest range since there was none
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_OWNER_INDEX_H_
