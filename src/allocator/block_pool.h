// BlockPool: hands out blocks of one tier in stream order.
//
// A block freed on a stream may be handed out again at once: to the same stream without more, to another stream after
// that stream was made to wait for the free. So the host never blocks, and without spare_bytes which addresses are
// handed out depends on the sequence of calls alone, not on how fast the device runs.
//
// How: each stream has a clock that advances when a free is ordered on it. A free block carries, per stream, the clock
// value after which it may be touched (elementwise maximum when neighbours join). Allocate makes its stream wait for an
// event recorded on every other stream whose clock value it has not been ordered after yet. Tick() records such an
// event early, so that a later wait does not include work enqueued after the free. On a stream that the program made,
// which it may destroy at any time, the free itself records it.
//
// Sizes are exact: rounded up to the alignment only. Fit: the free block with the lowest address that holds the
// size; the unused end of the tier is taken last, so the addresses do not depend on the capacity until the tier is
// full. With spare_bytes a stream that would have to wait for the free block takes the unused end first, and the
// addresses depend on which work has ended. Metadata lies outside the blocks.
//
//   I1  exactly the live blocks of the list can be found by their addresses
//   I2  the accounts are the sums over the live blocks
//   I3  bytes of live blocks, of holes and of the unused end are what the tier has grown to
//   I4  blocks that may be taken back lie in holes or in the unused end
//   I5  what Snapshot says is pending is the sum over the holes and the unused end whose work has not ended
//
// Thread-safety: all functions lock, except those that say so.
#ifndef TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_H_
#define TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "allocator/address_map.h"
#include "allocator/device_backend.h"
#include "allocator/memory_source.h"
#include "allocator/tag_accounts.h"
#include "tierlib/placement.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "trace/recorder.h"

namespace tierlib {

class Faults;

// How much memory a pool keeps that it has not handed out.
struct CacheBounds {
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  std::int64_t age_ns = 0;  // what was not handed out for so long goes back, at twice the age at the latest; 0: never
};
class Hardening;

class BlockList;
class SharedTagLimits;
class StreamClocks;
class WaitWatch;

class BlockPool {
 public:
  struct Options {
    std::unique_ptr<MemorySource> source;
    DeviceBackend* device = nullptr;            // whose streams and events order reuse; outlives the pool
    std::size_t alignment = 256;                // power of two
    std::size_t growth = std::size_t{2} << 20;  // grow by at least this where the capacity allows
    std::size_t spare_bytes = 0;                // see DeviceOptions
    bool threads_take_turns = false;            // DeviceOptions::allocating_threads_take_turns
    CacheBounds cache;                          // for TrimToBounds
    TagLimits tag_limits = NoTagLimits();
    std::shared_ptr<SharedTagLimits> shared_tag_limits;  // in place of them, with other pools; null: none
    trace::Recorder* recorder = nullptr;
    Faults* faults = nullptr;    // what is to fail, in tests
    WaitWatch* watch = nullptr;  // of the waits that Allocate inserts, under the pool's lock; outlives the pool
    // Hardened mode (hardening.h), where there is one: a stream of the device's own for it, which the pool destroys.
    std::optional<Stream> hardening;
    std::size_t quarantine_bytes = std::size_t{64} << 20;  // the most that hardened mode holds back
  };
  explicit BlockPool(Options options);
  // REQUIRES: every block was freed and the device has no work pending that uses one. In a child made by fork it
  // touches nothing: the memory is the parent's.
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block of `bytes` rounded up to the pool's alignment (at least one unit), for work enqueued on `stream` from now
  // on. Its address is a multiple of `alignment` too. ResourceExhausted, without a message and without allocating,
  // where no hole and no growth holds it, or the limit of the tag does not. REQUIRES: `alignment` is a power of two, at
  // most the source's base_alignment.
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag = trace::Tag::kNone,
                           std::size_t alignment = 1);

  // Takes a block back; it may be reused after the work enqueued so far on every one of `streams`, and after what it
  // was ordered after when it was handed out. REQUIRES: `block` came from Allocate and was not freed since, and the
  // streams are the device's or the program's on it (aborts otherwise: our own state would be corrupt).
  void Free(void* block, absl::Span<const Stream> streams);

  // Free, but the bytes may be wanted back: TakeBack makes the block live again, with the bytes that it has, until its
  // memory is handed out to somebody else or given back to the source. Nothing is held up for that: it is free like all
  // other. Returns the ticket for it, 0 where it cannot be had back (hardened mode, or no memory to note it). Poisoning
  // leaves such a block as it is.
  std::uint64_t FreeWithBytes(void* block, absl::Span<const Stream> streams);
  // Makes the block of the ticket live again under `tag`; false where its memory went elsewhere, or the tag's limit
  // does not hold it. Waits for nothing and makes no stream wait: its bytes may be read after the work that wrote them,
  // and must not be written. From then on it is freed as one that Allocate gave.
  bool TakeBack(void* block, std::uint64_t ticket, trace::Tag tag);
  bool MayTakeBack(const void* block, std::uint64_t ticket) const;
  // Nobody will take it back.
  void ForgetFreed(const void* block, std::uint64_t ticket);

  // Records an event for the frees ordered on `stream` since the last Tick, if there are any.
  void Tick(Stream stream);

  // `stream` is about to be destroyed: its work has ended. Not needed, but spares later waits and queries.
  void Forget(Stream stream);

  // Size of a live block, rounded. REQUIRES: live.
  std::size_t BlockBytes(const void* block) const;

  // What has `address`: nothing of this pool; memory of it that is not handed out now; or a live block, told in
  // `place`, whichever of its bytes that is. Lock-free but for the first call (allocator/live_blocks.h).
  using Place = AddressMap::Found;
  enum class Part { kOutside, kFree, kLive };
  Part Find(const void* address, Place* place) const;
  bool Contains(const void* address) const;  // lock-free
  // Names who has a live block, for Find: 0 since Allocate. REQUIRES: live, as for Free.
  void SetOwner(const void* block, std::uint64_t owner);

  Tier tier() const;
  int numa_node() const;               // the source's
  std::size_t base_alignment() const;  // the source's: the most that Allocate takes
  std::size_t live_bytes() const;      // live + waste
  // Everything under one lock, so that it adds up whatever other threads do. Asks the device which work has ended;
  // costs no look at holes of which that is known, nor at live blocks.
  TierStatistics Snapshot();
  // The same without `cached`, `pending` and `scattered`, which are 0: costs the lock alone.
  TierStatistics statistics() const;
  std::size_t LargestHole() const;  // the largest size for which Allocate would succeed now
  // What there is, for questions that are asked rarely (allocator/pool_shortfall.h). `look` runs under the lock and
  // must not call the pool.
  struct Contents {
    const BlockList& blocks;
    StreamClocks& clocks;
    const TagAccounts& accounts;
    const Options& options;
    const std::byte* base;
    std::size_t capacity;  // in whole alignment units
  };
  void Inspect(absl::FunctionRef<void(const Contents&)> look);
  // Gives free memory back to the source until `bytes` or more went, or nothing more may: whole pieces, as the source
  // grew, from the unused end, and from between live blocks where the source allows that. Returns the bytes. Blocks
  // until work that was enqueued on that memory before its frees has ended.
  std::size_t Trim(std::size_t bytes = std::numeric_limits<std::size_t>::max());
  // The same without waiting for any work. Gives back what the source has ready beyond what has grown as well.
  std::size_t TrimEnded(std::size_t bytes);
  // Gives back what is cached beyond Options::cache, without waiting for any work. Returns the bytes. `bytes`: the most
  // that is to stay cached, in place of that of the options.
  std::size_t TrimToBounds(std::int64_t now_ns) { return TrimToBounds(now_ns, KeptBytes()); }
  std::size_t TrimToBounds(std::int64_t now_ns, std::uint64_t bytes);
  // Copies `bytes` bytes from `from` on, in a live block, to `to` (MemorySource::Read). Takes no lock.
  Status Read(const void* from, void* to, std::size_t bytes) const;
  // Where the pages of the tier are. Takes no lock while it looks. Unimplemented for a device.
  StatusOr<Placement> VerifyPlacement() const;
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  class Plain;  // what Hardening stands on: the pool without it
  StatusOr<void*> AllocateBlock(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment);
  // `with_bytes`: as FreeWithBytes, whose ticket it returns.
  std::uint64_t FreeBlock(void* block, absl::Span<const Stream> streams, bool with_bytes = false);
  // Books a live block under another tag, with `asked` of its bytes as asked for and the rest as waste.
  void Book(const void* block, std::size_t asked, trace::Tag tag);
  std::size_t PlainBlockBytes(const void* block) const;
  void Require(const char* use, const void* block) const;  // aborts where that is no live block
  std::size_t LargestFreeBlock() const;
  std::uint64_t KeptBytes() const;  // as the options have it
  bool MapBlocks() const;
  Part FindSlowly(const void* address, Place* place) const;  // where there is no memory for the map

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_H_
