#include "allocator/block_pool.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "allocator/block_list.h"
#include "allocator/cache_age.h"
#include "allocator/give_back.h"
#include "allocator/hardening.h"
#include "allocator/live_blocks.h"
#include "allocator/misuse.h"
#include "allocator/stream_clocks.h"
#include "allocator/tag_accounts.h"
#include "base/check.h"
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
        clocks(*options.device, options.watch),
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
  BlockList blocks ABSL_GUARDED_BY(mutex);
  TagAccounts accounts ABSL_GUARDED_BY(mutex);
  std::size_t extent_peak ABSL_GUARDED_BY(mutex) = 0;
  bool has_absent ABSL_GUARDED_BY(mutex) = false;  // memory that is grown was given back
  CacheAge age ABSL_GUARDED_BY(mutex);
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
      if (has_absent) TIERLIB_RETURN_IF_ERROR(Commit(RoundUpTo(hole->offset, alignment), bytes));
      TIERLIB_RETURN_IF_ERROR(clocks.Order(stream, hole->stamp));
      *block = blocks.Carve(hole, bytes, alignment);
      return OkStatus();
    }
    return TakeUnused(bytes, alignment, stream, block);
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

  // Before a block is made there.
  Status Commit(std::size_t offset, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t absent = source.absent();
    const Status status = source.Commit(offset, bytes);
    TraceSource(trace::Event::kPoolReserve, absent - source.absent());
    has_absent = source.absent() > 0;
    return status;
  }

  void TraceReturned(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    TraceSource(trace::Event::kPoolRelease, bytes);
    grown = source.grown();
    has_absent = source.absent() > 0;
  }

  void TraceSource(trace::Event event, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (bytes == 0) return;
    trace::Write(options.recorder, event, trace::Tag::kNone, 0, 0, static_cast<std::uint64_t>(tier), bytes);
  }

  void TraceFull(std::size_t bytes, trace::Tag tag) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, trace::Event::kPoolFull, tag, static_cast<std::uint16_t>(tier), 0,
                 capacity - accounts.total().rounded, bytes);
  }

  void TraceBlock(trace::Event event, const Block& block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, event, block.tag, static_cast<std::uint16_t>(tier), 0, block.offset, block.bytes);
  }

  // Aborts where no live block starts at `address`: somebody frees twice, or frees what is not ours. `use` says what
  // for: "free".
  void RequireLive(bool live, const void* address, const char* use) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!live) misuse::DieOfAddress(use, address, OffsetOf(address), extent_peak, tier, blocks);
  }
};

BlockPool::BlockPool(Options options) {
  TIERLIB_CHECK(options.source != nullptr && options.device != nullptr, "BlockPool: a source and a device are needed");
  TIERLIB_CHECK(options.alignment > 0 && (options.alignment & (options.alignment - 1)) == 0,
                "BlockPool: the alignment is not a power of two");
  state_ = std::make_unique<State>(std::move(options));
  State& s = *state_;
  if (s.options.hardening.has_value()) s.hardening = std::make_unique<Hardening>(*this, s.source, s.options);
}

BlockPool::~BlockPool() {
  if (state_->fork.in_child()) {
    LeaveBehind(std::move(state_));
  } else {
    state_->hardening.reset();  // it calls this pool
  }
}

StatusOr<void*> BlockPool::Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment) {
  if (state_->hardening != nullptr) return state_->hardening->Allocate(bytes, stream, tag, alignment);
  return AllocateBlock(bytes, stream, tag, alignment);
}

void BlockPool::Free(void* block, absl::Span<const Stream> streams) {
  if (state_->hardening != nullptr) return state_->hardening->Free(block, streams);
  FreeBlock(block, streams);
}

std::size_t BlockPool::BlockBytes(const void* block) const {
  if (state_->hardening != nullptr) return state_->hardening->BlockBytes(block);
  return PlainBlockBytes(block);
}

std::size_t BlockPool::LargestHole() const {
  const std::size_t largest = LargestFreeBlock();
  return state_->hardening != nullptr ? state_->hardening->FitsInto(largest) : largest;
}

StatusOr<void*> BlockPool::AllocateBlock(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment) {
  State& s = *state_;
  TIERLIB_CHECK((alignment & (alignment - 1)) == 0 && alignment <= s.base_alignment,
                "BlockPool: the alignment of a block is not a power of two that the tier's base has");
  MutexLock lock(s.mutex);
  if (bytes > s.capacity) {
    s.TraceFull(bytes, tag);
    return Status(StatusCode::kResourceExhausted);
  }
  const std::size_t rounded = s.Rounded(bytes);
  if (s.accounts.held(tag) + rounded > s.options.tag_limits[static_cast<std::size_t>(tag)]) {
    s.TraceFull(rounded, tag);
    return Status(StatusCode::kResourceExhausted);
  }
  const std::size_t aligned = std::max(alignment, s.options.alignment);
  if (!s.live_blocks.Prepare(std::min(s.capacity, s.blocks.NextOffset(aligned) + rounded))) {
    return Status(StatusCode::kResourceExhausted);
  }
  Block* block = nullptr;
  Status taken = s.Take(rounded, aligned, stream, &block);
  if (!taken.ok()) {
    if (taken.code() == StatusCode::kResourceExhausted) s.TraceFull(rounded, tag);
    return taken;
  }
  block->asked = bytes;
  block->tag = tag;
  s.live_blocks.Add(block);
  s.accounts.Add(tag, bytes, rounded);
  s.extent_peak = std::max(s.extent_peak, s.blocks.extent());
  s.age.NoteUse(block->offset, rounded);
  s.TraceBlock(trace::Event::kPoolAllocate, *block);
  void* address = s.base + block->offset;
  if (s.notes_blocks) s.source.NoteBlock(address, rounded, /*live=*/true, stream);
  return address;
}

void BlockPool::FreeBlock(void* address, absl::Span<const Stream> streams) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  Block* block = s.live_blocks.Remove(s.OffsetOf(address));
  s.RequireLive(block != nullptr, address, "free");
  // With several streams there is none yet that comes after all of them.
  if (s.notes_blocks && streams.size() == 1 && s.clocks.IsOrdered(streams.front(), block->stamp)) {
    s.source.NoteBlock(address, block->bytes, /*live=*/false, streams.front());
  }
  s.accounts.Remove(block->tag, block->asked, block->bytes);
  for (const Stream stream : streams) s.clocks.StampFree(block->stamp, stream);
  s.TraceBlock(trace::Event::kPoolFree, *block);
  s.blocks.GiveBack(block);
}

void BlockPool::Tick(Stream stream) {
  MutexLock lock(state_->mutex);
  state_->clocks.Tick(stream);
}

void BlockPool::Forget(Stream stream) {
  MutexLock lock(state_->mutex);
  state_->clocks.Forget(stream);
}

void BlockPool::Book(const void* address, std::size_t asked, trace::Tag tag) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  Block* block = s.live_blocks.At(s.OffsetOf(address));
  s.RequireLive(block != nullptr, address, "booking");
  s.accounts.Remove(block->tag, block->asked, block->bytes);
  if (tag != block->tag) s.live_blocks.SetTag(block, tag);
  block->asked = asked;
  s.accounts.Add(block->tag, asked, block->bytes);
}

void BlockPool::Require(const char* use, const void* block) const {
  MutexLock lock(state_->mutex);
  state_->RequireLive(state_->live_blocks.At(state_->OffsetOf(block)) != nullptr, block, use);
}

std::size_t BlockPool::PlainBlockBytes(const void* block) const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  const Block* const live = s.live_blocks.At(s.OffsetOf(block));
  s.RequireLive(live != nullptr, block, "size");
  return live->bytes;
}

void BlockPool::SetOwner(const void* block, std::uint64_t owner) {
  State& s = *state_;
  if (s.hardening != nullptr) return s.hardening->SetOwner(block, owner);
  MutexLock lock(s.mutex);
  Block* const live = s.live_blocks.At(s.OffsetOf(block));
  s.RequireLive(live != nullptr, block, "owner");
  s.live_blocks.SetOwner(live, owner);
}

BlockPool::Part BlockPool::Find(const void* address, Place* place) const {
  if (!Contains(address)) return Part::kOutside;
  if (state_->hardening != nullptr) return state_->hardening->Find(address, place) ? Part::kLive : Part::kFree;
  if (!state_->live_blocks.is_mapped() && !MapBlocks()) return FindSlowly(address, place);
  return state_->live_blocks.Find(state_->OffsetOf(address), place) ? Part::kLive : Part::kFree;
}

bool BlockPool::MapBlocks() const {
  MutexLock lock(state_->mutex);
  return state_->live_blocks.Map();
}

BlockPool::Part BlockPool::FindSlowly(const void* address, Place* place) const {
  const State& s = *state_;
  const std::size_t offset = s.OffsetOf(address);
  MutexLock lock(s.mutex);
  const Block* block = s.blocks.last();
  while (block != nullptr && block->offset > offset) block = block->previous;
  if (block == nullptr || !block->live || offset - block->offset >= block->bytes) return Part::kFree;
  *place = {block->tag, offset - block->offset, block->offset, block->bytes, block->owner};
  return Part::kLive;
}

bool BlockPool::Contains(const void* address) const {
  const State& s = *state_;
  const std::size_t bytes = std::min<std::size_t>(s.grown, s.capacity);  // before the base
  return s.OffsetOf(address) < bytes;
}

Tier BlockPool::tier() const { return state_->tier; }
int BlockPool::numa_node() const { return state_->source.numa_node(); }

TierStatistics BlockPool::statistics() const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  const TagAccounts::Account& total = s.accounts.total();
  const TagAccounts::Peak& peak = s.accounts.peak();
  TierStatistics statistics;
  statistics.capacity = s.capacity;
  statistics.reserved = s.Reserved();
  statistics.locked = s.source.locked();
  statistics.live = total.asked;
  statistics.waste = total.rounded - total.asked;
  statistics.live_peak = peak.rounded;
  statistics.live_peak_ns = peak.time_ns;
  statistics.extent_peak = s.extent_peak;
  for (std::size_t i = 0; i < trace::kTagCount; ++i) {
    const TagAccounts::Account& now = s.accounts.tags()[i];
    if (now.blocks == 0 && peak.tags[i].blocks == 0) continue;
    statistics.tags.push_back({trace::TagName(static_cast<trace::Tag>(i)), now.blocks, now.asked,
                               now.rounded - now.asked, peak.tags[i].rounded});
  }
  return statistics;
}

PoolFreeBytes BlockPool::FreeBytes() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  s.clocks.Poll();
  return CountFree(s.blocks, s.clocks, s.source);
}

std::size_t BlockPool::LargestFreeBlock() const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  return std::max(s.blocks.largest_hole(), s.capacity - s.blocks.extent());
}

void BlockPool::Inspect(absl::FunctionRef<void(const Contents&)> look) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  look({s.blocks, s.clocks, s.accounts, s.options, s.base, s.capacity});
}

std::size_t BlockPool::Trim(std::size_t bytes) {
  State& s = *state_;
  if (s.hardening != nullptr) s.hardening->Flush();
  MutexLock lock(s.mutex);
  const std::size_t returned = GiveBack(s.blocks, {.bytes = bytes, .waits = true}, s.clocks, s.source);
  s.TraceReturned(returned);
  return returned;
}

std::size_t BlockPool::TrimToBounds(std::int64_t now_ns) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  const std::uint64_t bound = s.options.cache.bytes;
  const bool ages = s.age.IsDue(now_ns);
  if (s.Reserved() - s.accounts.total().rounded <= bound && !ages) return 0;
  s.clocks.Poll();
  const std::size_t before = s.Reserved();
  if (ages) s.TraceReturned(s.age.GiveBack(now_ns, s.blocks, s.clocks, s.source));
  const std::size_t cached = CountFree(s.blocks, s.clocks, s.source).cached;
  if (cached > bound) {
    s.TraceReturned(GiveBack(s.blocks, {.bytes = cached - static_cast<std::size_t>(bound)}, s.clocks, s.source));
  }
  return before - s.Reserved();
}

Status BlockPool::Read(const void* from, void* to, std::size_t bytes) const {
  const std::byte* const base = state_->source.base();
  return state_->source.Read(static_cast<std::size_t>(static_cast<const std::byte*>(from) - base), to, bytes);
}

StatusOr<Placement> BlockPool::VerifyPlacement() const {
  std::size_t bytes = 0;
  {
    MutexLock lock(state_->mutex);
    bytes = state_->grown;
  }
  return state_->source.VerifyPlacement(bytes);
}

void BlockPool::CheckInvariants() const {
  const State& s = *state_;
  if (s.hardening != nullptr) s.hardening->CheckInvariants();
  MutexLock lock(s.mutex);
  s.blocks.CheckInvariants();
  s.live_blocks.CheckInvariants();
  s.clocks.CheckInvariants();
  TagAccounts counted;
  std::size_t free = 0;
  for (const Block* block = s.blocks.last(); block != nullptr; block = block->previous) {
    if (!block->live) {
      free += block->bytes;
      continue;
    }
    TIERLIB_CHECK(s.live_blocks.At(block->offset) == block, "BlockPool I1: a live block is not listed");
    TIERLIB_CHECK(block->asked <= block->bytes, "BlockPool I2: more was asked for than a block has");
    counted.Add(block->tag, block->asked, block->bytes);
  }
  TIERLIB_CHECK(counted.total().blocks == s.live_blocks.size(), "BlockPool I1: a block is listed that is not live");
  TIERLIB_CHECK(counted.tags() == s.accounts.tags() && counted.total() == s.accounts.total(),
                "BlockPool I2: the accounts do not say what is live");
  const std::size_t grown = s.grown;
  TIERLIB_CHECK(grown == s.source.grown(), "BlockPool I3: the source has grown to something else");
  TIERLIB_CHECK(s.blocks.extent() <= grown && grown <= s.source.capacity(), "BlockPool I3: beyond the end");
  TIERLIB_CHECK(counted.total().rounded + free + (grown - s.blocks.extent()) == grown,
                "BlockPool I3: bytes are missing");
}

}  // namespace tierlib
