// What a BlockPool has, and the steps that its functions are made of.
#ifndef TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_STATE_H_
#define TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_STATE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "allocator/block_list.h"
#include "allocator/block_pool.h"
#include "allocator/cache_age.h"
#include "allocator/freed_blocks.h"
#include "allocator/hardening.h"
#include "allocator/live_blocks.h"
#include "allocator/misuse.h"
#include "allocator/plain_blocks.h"
#include "allocator/shared_tag_limits.h"
#include "allocator/stream_clocks.h"
#include "allocator/stream_labels.h"
#include "allocator/tag_accounts.h"
#include "base/fork_mark.h"
#include "base/mutex.h"
#include "base/round_up.h"
#include "tierlib/faults.h"

namespace tierlib {

struct BlockPool::State {
  explicit State(Options o)
      : options(std::move(o)),
        source(*options.source),
        capacity(source.capacity() & ~(options.alignment - 1)),
        tier(source.tier()),
        base_alignment(source.base_alignment()),
        notes_blocks(source.notes_blocks() && !options.hardening.has_value()),  // which fills by itself
        live_blocks(capacity, options.alignment),
        grown(source.grown()),
        base(source.base()),
        mutex(options.threads_take_turns ? Mutex::Waiters::kTurns : Mutex::Waiters::kSleep),
        clocks(*options.device, options.watch),
        stream_labels(*options.device, options.recorder),
        blocks(options.alignment),
        age(options.cache.age_ns) {}

  const ForkMark fork;
  Options options;
  MemorySource& source;
  const std::size_t capacity;  // of the pool: whole alignment units
  const Tier tier;
  const std::size_t base_alignment;
  const bool notes_blocks;  // the source wants to know which blocks are live

  // What Find reads without the lock; written under it.
  LiveBlocks live_blocks;
  std::atomic<std::size_t> grown;  // what the source has grown to
  std::atomic<std::byte*> base;    // where that begins

  mutable Mutex mutex;
  StreamClocks clocks ABSL_GUARDED_BY(mutex);
  StreamLabels stream_labels ABSL_GUARDED_BY(mutex);
  BlockList blocks ABSL_GUARDED_BY(mutex);
  TagAccounts accounts ABSL_GUARDED_BY(mutex);
  FreedBlocks freed ABSL_GUARDED_BY(mutex);
  std::size_t extent_peak ABSL_GUARDED_BY(mutex) = 0;
  bool has_absent ABSL_GUARDED_BY(mutex) = false;  // memory that is grown was given back
  CacheAge age ABSL_GUARDED_BY(mutex);
  std::unique_ptr<PlainBlocks> plain;    // for the next one, if there is any
  std::unique_ptr<Hardening> hardening;  // null: not hardened. Has a lock of its own, taken before `mutex`

  std::size_t Rounded(std::size_t bytes) const {
    return bytes == 0 ? options.alignment : RoundUpTo(bytes, options.alignment);
  }
  std::size_t OffsetOf(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) -
           reinterpret_cast<std::uintptr_t>(base.load(std::memory_order_relaxed));
  }

  // Makes the source hold at least `end` bytes: by whole growth steps where the capacity and the system allow them.
  Status GrowTo(std::size_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto round_up = [](std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; };
    const std::size_t unit = source.granularity();
    const std::size_t needed = round_up(end - grown, unit);
    const std::size_t limit = static_cast<std::size_t>(source.capacity() - grown) / unit * unit;
    const std::size_t step = std::max(options.growth, unit);
    const std::size_t wanted = std::min(round_up(round_up(end, step) - grown, unit), limit);
    if (needed > limit) return Status(StatusCode::kResourceExhausted);
    std::size_t bytes = std::max(wanted, needed);
    Status status = source.Grow(bytes);
    if (status.code() == StatusCode::kResourceExhausted && bytes > needed) {
      bytes = needed;
      status = source.Grow(bytes);
    }
    base = source.base();  // before what is grown: who sees bytes sees where they are
    grown = source.grown();
    if (status.ok()) TraceSource(trace::Event::kPoolReserve, bytes);
    return status;
  }

  Status Take(std::size_t bytes, std::size_t alignment, Stream stream, Block** block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (options.faults != nullptr) {
      TIERLIB_RETURN_IF_ERROR(options.faults->CallAllocate(tier, accounts.total().rounded, bytes));
    }
    // The lowest address, not the smallest hole: what lives long gathers at the low end, and the rest stays whole. (The
    // smallest hole left a tier that was short of memory with gradients in the middle of every large gap.)
    Block* const hole = blocks.FindHole(bytes, alignment);
    if (hole != nullptr && IsSpare(*hole, stream) && TakeUnused(bytes, alignment, stream, block).ok())
      return OkStatus();
    if (hole != nullptr) {
      const Status there = has_absent ? Commit(RoundUpTo(hole->offset, alignment), bytes) : OkStatus();
      // Whole pieces come back behind a hole, where the unused end may grow by less.
      if (there.code() == StatusCode::kResourceExhausted) return TakeUnused(bytes, alignment, stream, block);
      TIERLIB_RETURN_IF_ERROR(there);
      TIERLIB_RETURN_IF_ERROR(clocks.Order(stream, hole->stamp));
      *block = blocks.Carve(hole, bytes, alignment);
      return OkStatus();
    }
    return TakeUnused(bytes, alignment, stream, block);
  }

  // Room for a block within the limit of its tag, which goes back unless the block is made.
  class TagRoom {
   public:
    TagRoom(State& state, trace::Tag tag, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex)
        : shared_(state.options.shared_tag_limits.get()), tag_(tag), bytes_(bytes) {
      const std::size_t limit = state.options.tag_limits[static_cast<std::size_t>(tag)];
      taken_ = shared_ != nullptr ? shared_->Take(tag, bytes) : state.accounts.held(tag) + bytes <= limit;
    }
    ~TagRoom() {
      if (shared_ != nullptr && taken_) shared_->GiveBack(tag_, bytes_);
    }
    TagRoom(const TagRoom&) = delete;
    TagRoom& operator=(const TagRoom&) = delete;
    explicit operator bool() const { return taken_; }
    void Keep() { taken_ = false; }

   private:
    SharedTagLimits* const shared_;  // null: the accounts have it
    const trace::Tag tag_;
    const std::size_t bytes_;
    bool taken_ = false;
  };
  void LeaveTag(const Block& block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    accounts.Remove(block.tag, block.asked, block.bytes);
    if (options.shared_tag_limits != nullptr) options.shared_tag_limits->GiveBack(block.tag, block.bytes);
  }

  // The block, new in the list, is live from now on. `streams`: the label of the one that it is for; 0: of none.
  void HandOut(Block* block, std::size_t asked, trace::Tag tag, std::uint32_t streams)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    freed.ForgetOverlaps(block->offset, block->bytes);
    block->asked = asked;
    block->tag = tag;
    live_blocks.Add(block);
    accounts.Add(tag, asked, block->bytes);
    extent_peak = std::max(extent_peak, blocks.extent());
    age.NoteUse(block->offset, block->bytes);
    TraceBlock(trace::Event::kPoolAllocate, *block, streams);
  }

  // Work that has not ended still uses the hole, and so much may be left free meanwhile.
  bool IsSpare(const Block& hole, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t free = blocks.extent() - accounts.total().rounded;
    return free <= options.spare_bytes && clocks.WouldWait(stream, hole.stamp);
  }

  Status TakeUnused(std::size_t bytes, std::size_t alignment, Stream stream, Block** block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t offset = blocks.NextOffset(alignment);
    if (offset > capacity || bytes > capacity - offset) return Status(StatusCode::kResourceExhausted);
    if (offset + bytes > grown) TIERLIB_RETURN_IF_ERROR(GrowTo(offset + bytes));
    if (has_absent) TIERLIB_RETURN_IF_ERROR(Commit(offset, bytes));
    TIERLIB_RETURN_IF_ERROR(clocks.Order(stream, blocks.unused_stamp()));
    *block = blocks.Append(bytes, alignment);
    return OkStatus();
  }

  std::size_t Reserved() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return grown - source.absent(); }

  // What is told of the pool without looking at what is free.
  TierStatistics Figures() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    TierStatistics figures = accounts.Figures();
    figures.capacity = capacity;
    figures.reserved = Reserved();
    figures.locked = source.locked();
    figures.extent_peak = extent_peak;
    return figures;
  }

  // Before a block is made there.
  Status Commit(std::size_t offset, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t absent = source.absent();
    const Status status = source.Commit(offset, bytes);
    TraceSource(trace::Event::kPoolReserve, absent - source.absent());
    has_absent = source.absent() > 0;
    return status;
  }

  // While memory goes back to the source: notes what went when it ends, where an exception ends it too.
  class Returning {
   public:
    explicit Returning(State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex)
        : state_(state), before_(state.SourceBytes()) {}
    ~Returning() { state_.NoteReturned(bytes()); }
    Returning(const Returning&) = delete;
    Returning& operator=(const Returning&) = delete;
    std::size_t bytes() const { return before_ - state_.SourceBytes(); }

   private:
    State& state_;
    const std::size_t before_;
  };
  std::size_t SourceBytes() const { return source.grown() - source.absent(); }
  void NoteReturned(std::size_t bytes) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (bytes > 0) freed.Clear();
    TraceSource(trace::Event::kPoolRelease, bytes);
    grown = source.grown();
    has_absent = source.absent() > 0;
  }

  void TraceSource(trace::Event event, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (bytes == 0) return;
    trace::Write(options.recorder, event, trace::Tag::kNone, 0, 0, static_cast<std::uint64_t>(tier), bytes);
  }

  void TraceFull(std::size_t bytes, trace::Tag tag, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, trace::Event::kPoolFull, tag, static_cast<std::uint16_t>(tier),
                 stream_labels.Of(stream), capacity - accounts.total().rounded, bytes);
  }

  void TraceBlock(trace::Event event, const Block& block, std::uint32_t streams) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, event, block.tag, static_cast<std::uint16_t>(tier), streams, block.offset,
                 block.bytes);
  }

  // Aborts where no live block starts at `address`: somebody frees twice, or frees what is not ours. `use` says what
  // for: "free".
  void RequireLive(bool live, const void* address, const char* use) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!live) misuse::DieOfAddress(use, address, OffsetOf(address), extent_peak, tier, blocks);
  }
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_POOL_STATE_H_
