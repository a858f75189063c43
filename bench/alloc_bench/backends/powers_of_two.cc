// A cache of powers of two, as PyTorch's allocator of pinned host memory is designed: a request takes a block of the
// next power of two from the free list of that size, under the list's lock, and where the list is empty a new one from
// the system; blocks are never split or given back. A map finds the block of an address, under a lock of its own.
// Counters of each size are kept under its lock, as there: blocks and bytes live, their peaks, and bytes in all blocks
// made.
//
// Left out, which makes it faster than the original: the lock and the events of each block.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "absl/container/flat_hash_map.h"
#include "alloc_bench/backend.h"
#include "base/check.h"
#include "base/mutex.h"
#include "tierlib/bytes.h"

namespace tierlib::bench {
namespace {

constexpr std::uint64_t kAddressSpace = GiB(256);  // for blocks that nobody writes

struct Block {
  void* address = nullptr;
  std::size_t size_class = 0;  // of 2^size_class bytes
  std::size_t requested = 0;   // of them, while it is live
};

struct Level {
  std::uint64_t now = 0;
  std::uint64_t peak = 0;
  void Raise(std::uint64_t by) { peak = std::max(peak, now += by); }
};

struct alignas(64) SizeClass {
  mutable Mutex mutex;
  std::vector<Block*> free ABSL_GUARDED_BY(mutex);
  std::uint64_t reserved ABSL_GUARDED_BY(mutex) = 0;  // bytes in all blocks made
  Level live_blocks ABSL_GUARDED_BY(mutex);
  Level live_bytes ABSL_GUARDED_BY(mutex);  // as asked for
};

class PowersOfTwoBackend : public Backend {
 public:
  explicit PowersOfTwoBackend(bool touched) : touched_(touched) {
    if (touched_) return;
    void* mapping = mmap(nullptr, kAddressSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TIERLIB_CHECK(mapping != MAP_FAILED, "alloc_bench: no address space for pow2");
    base_ = static_cast<std::byte*>(mapping);
  }
  ~PowersOfTwoBackend() override {
    if (!touched_) munmap(base_, kAddressSpace);
    for (const Block& block : blocks_) {
      if (touched_) std::free(block.address);
    }
  }

  void* Allocate(std::size_t bytes, int) override {
    const auto index = static_cast<std::size_t>(std::bit_width(bytes - 1));
    SizeClass& size = classes_[index];
    Block* block = nullptr;
    {
      MutexLock lock(size.mutex);
      if (!size.free.empty()) {
        block = size.free.back();
        size.free.pop_back();
        Count(size, *block, bytes);
      }
    }
    if (block == nullptr) {
      block = Make(index);
      MutexLock lock(size.mutex);
      size.reserved += std::uint64_t{1} << index;
      Count(size, *block, bytes);
    }
    return block->address;
  }

  void Free(void* address, int) override {
    Block* block = Find(address);
    SizeClass& size = classes_[block->size_class];
    MutexLock lock(size.mutex);
    size.live_blocks.now -= 1;
    size.live_bytes.now -= block->requested;
    size.free.push_back(block);
  }

  std::uint64_t Reserved() const override {
    std::uint64_t bytes = 0;
    for (const SizeClass& size : classes_) {
      MutexLock lock(size.mutex);
      bytes += size.reserved;
    }
    return bytes;
  }

 private:
  static void Count(SizeClass& size, Block& block, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(size.mutex) {
    block.requested = bytes;
    size.live_blocks.Raise(1);
    size.live_bytes.Raise(bytes);
  }

  Block* Find(void* address) {
    MutexLock lock(mutex_);
    const auto found = by_address_.find(address);
    TIERLIB_CHECK(found != by_address_.end(), "alloc_bench: pow2 frees what is not its own");
    return found->second;
  }

  Block* Make(std::size_t index) {
    const std::size_t bytes = std::size_t{1} << index;
    MutexLock lock(mutex_);
    void* address = base_ + used_;
    if (touched_) {
      address = std::malloc(bytes);
      if (address != nullptr) std::memset(address, 1, bytes);  // page-locked memory has all its pages from the start
    } else {
      used_ += bytes;
    }
    TIERLIB_CHECK(address != nullptr && used_ <= kAddressSpace, "alloc_bench: pow2 is out of memory");
    Block* block = &blocks_.emplace_back(Block{.address = address, .size_class = index});
    by_address_.emplace(address, block);
    return block;
  }

  const bool touched_;
  std::array<SizeClass, 64> classes_;
  Mutex mutex_;
  std::deque<Block> blocks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<void*, Block*> by_address_ ABSL_GUARDED_BY(mutex_);
  std::byte* base_ = nullptr;
  std::uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

BackendKind PowersOfTwoKind() {
  return {.name = "pow2", .counts_reserved = true, .make = [](int, bool touched) {
            return std::make_unique<PowersOfTwoBackend>(touched);
          }};
}

}  // namespace tierlib::bench
