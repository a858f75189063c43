#include "allocator/block_pool.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "allocator/hole_index.h"
#include "allocator/stream_clocks.h"
#include "base/check.h"
#include "base/mutex.h"

namespace tierlib {

// A live block or a hole. Blocks form a list in order of address; the last one is live, as what is free behind it is
// the unused end.
struct Block {
  std::size_t offset = 0;
  std::size_t bytes = 0;
  Block* previous = nullptr;
  Block* next = nullptr;
  bool live = false;
  trace::Tag tag = trace::Tag::kNone;
  // When it may be touched; while live, what it was ordered after when it was handed out. A free only raises it: the
  // streams that it names need not have waited for any of that.
  StreamClocks::Stamp stamp;
};

namespace {

using Stamp = StreamClocks::Stamp;

std::size_t RoundUp(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

struct BlockPool::State {
  explicit State(Options o)
      : options(std::move(o)),
        source(*options.source),
        capacity(source.capacity() / options.alignment * options.alignment),
        clocks(*options.device) {}

  Options options;
  MemorySource& source;
  const std::size_t capacity;  // of the pool: whole alignment units

  mutable Mutex mutex;
  StreamClocks clocks ABSL_GUARDED_BY(mutex);
  std::deque<Block> blocks ABSL_GUARDED_BY(mutex);   // storage of the nodes; never shrinks
  std::vector<Block*> spare ABSL_GUARDED_BY(mutex);  // nodes not in use
  HoleIndex holes ABSL_GUARDED_BY(mutex);
  absl::flat_hash_map<std::size_t, Block*> live_blocks ABSL_GUARDED_BY(mutex);  // by offset
  Block* last ABSL_GUARDED_BY(mutex) = nullptr;                                 // the block with the highest address
  std::size_t extent ABSL_GUARDED_BY(mutex) = 0;  // its end: the unused end of the tier begins here
  Stamp unused_stamp ABSL_GUARDED_BY(mutex);      // when the unused end may be touched
  std::size_t live ABSL_GUARDED_BY(mutex) = 0;    // bytes
  std::size_t live_peak ABSL_GUARDED_BY(mutex) = 0;
  std::size_t extent_peak ABSL_GUARDED_BY(mutex) = 0;

  std::size_t Rounded(std::size_t bytes) const {
    return bytes == 0 ? options.alignment : RoundUp(bytes, options.alignment);
  }
  std::size_t OffsetOf(const void* address) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - source.base());
  }

  Block* TakeNode() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (spare.empty()) return &blocks.emplace_back();
    Block* node = spare.back();
    spare.pop_back();
    node->next = nullptr;
    node->live = false;
    node->stamp.clear();
    return node;
  }

  // Makes the source hold at least `end` bytes: by whole growth steps where the capacity and the system allow them.
  Status GrowTo(std::size_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t grown = source.grown();
    if (end <= grown) return OkStatus();
    const std::size_t unit = source.granularity();
    const std::size_t needed = RoundUp(end - grown, unit);
    const std::size_t limit = static_cast<std::size_t>(source.capacity() - grown) / unit * unit;
    const std::size_t step = std::max(options.growth, unit);
    const std::size_t wanted = std::min(RoundUp(RoundUp(end, step) - grown, unit), limit);
    if (needed > limit) return Status(StatusCode::kResourceExhausted);
    std::size_t bytes = std::max(wanted, needed);
    Status status = source.Grow(bytes);
    if (status.code() == StatusCode::kResourceExhausted && bytes > needed) {
      bytes = needed;
      status = source.Grow(bytes);
    }
    if (status.ok()) {
      trace::Write(options.recorder, trace::Event::kPoolReserve, trace::Tag::kNone, 0, 0,
                   static_cast<std::uint64_t>(source.tier()), bytes);
    }
    return status;
  }

  // The first `bytes` bytes of a hole become a block; the rest stays a hole.
  Block* Carve(Block* hole, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (hole->bytes == bytes) {
      holes.Remove(hole->offset);
      return hole;
    }
    Block* rest = TakeNode();
    rest->offset = hole->offset + bytes;
    rest->bytes = hole->bytes - bytes;
    rest->stamp = hole->stamp;
    rest->previous = hole;
    rest->next = hole->next;
    rest->next->previous = rest;
    hole->next = rest;
    hole->bytes = bytes;
    holes.Move(hole->offset, rest->offset, rest->bytes, rest);
    return hole;
  }

  Block* Append(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Block* block = TakeNode();
    block->offset = extent;
    block->bytes = bytes;
    block->stamp = unused_stamp;
    block->previous = last;
    if (last != nullptr) last->next = block;
    last = block;
    extent += bytes;
    extent_peak = std::max(extent_peak, extent);
    return block;
  }

  // Joins a block with the one behind it, which is a hole or about to be one. The index of holes is the caller's.
  void JoinNext(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Block* next = block->next;
    block->bytes += next->bytes;
    StreamClocks::Join(block->stamp, next->stamp);
    block->next = next->next;
    if (block->next != nullptr) block->next->previous = block;
    if (last == next) last = block;
    spare.push_back(next);
  }

  // Puts a block that was live back: joined with its free neighbours, as a hole or as a part of the unused end.
  void GiveBack(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Block* const previous = block->previous != nullptr && !block->previous->live ? block->previous : nullptr;
    Block* const next = block->next != nullptr && !block->next->live ? block->next : nullptr;
    const std::size_t previous_offset = previous != nullptr ? previous->offset : 0;
    const std::size_t next_offset = next != nullptr ? next->offset : 0;
    if (next != nullptr) JoinNext(block);
    if (previous != nullptr) JoinNext(block = previous);
    if (block == last) {  // so there is no hole behind it
      if (previous != nullptr) holes.Remove(previous_offset);
      StreamClocks::Join(unused_stamp, block->stamp);
      extent = block->offset;
      last = block->previous;
      if (last != nullptr) last->next = nullptr;
      spare.push_back(block);
    } else if (previous != nullptr) {
      if (next != nullptr) holes.Remove(next_offset);
      holes.Move(previous_offset, block->offset, block->bytes, block);
    } else if (next != nullptr) {
      holes.Move(next_offset, block->offset, block->bytes, block);
    } else {
      holes.Add(block->offset, block->bytes, block);
    }
  }

  StatusOr<Block*> Take(std::size_t bytes, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    // The lowest address, not the smallest hole: what lives long gathers at the low end, and the rest stays whole. (The
    // smallest hole left a tier that was short of memory with gradients in the middle of every large gap.)
    if (Block* hole = holes.FindLowest(bytes)) {
      TIERLIB_RETURN_IF_ERROR(clocks.Order(stream, hole->stamp));
      return Carve(hole, bytes);
    }
    if (bytes > capacity - extent) return Status(StatusCode::kResourceExhausted);
    TIERLIB_RETURN_IF_ERROR(GrowTo(extent + bytes));
    TIERLIB_RETURN_IF_ERROR(clocks.Order(stream, unused_stamp));
    return Append(bytes);
  }

  void TraceFull(std::size_t bytes, trace::Tag tag) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, trace::Event::kPoolFull, tag, static_cast<std::uint16_t>(source.tier()), 0,
                 capacity - live, bytes);
  }

  void TraceBlock(trace::Event event, const Block& block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    trace::Write(options.recorder, event, block.tag, static_cast<std::uint16_t>(source.tier()), 0, block.offset,
                 block.bytes);
  }

  // The live block that starts at `address`. Aborts where there is none: somebody frees twice, or frees what is not
  // ours.
  Block* Live(const void* address, const char* function) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto found = live_blocks.find(OffsetOf(address));
    if (found != live_blocks.end()) return found->second;
    char message[160];
    std::snprintf(message, sizeof(message), "BlockPool::%s of %p, which is not a live block of this %s pool", function,
                  address, TierName(source.tier()));
    TIERLIB_CHECK(false, message);
    return nullptr;
  }
};

BlockPool::BlockPool(Options options) {
  TIERLIB_CHECK(options.source != nullptr && options.device != nullptr, "BlockPool: a source and a device are needed");
  TIERLIB_CHECK(options.alignment > 0 && (options.alignment & (options.alignment - 1)) == 0,
                "BlockPool: the alignment is not a power of two");
  state_ = std::make_unique<State>(std::move(options));
}

BlockPool::~BlockPool() = default;

StatusOr<void*> BlockPool::Allocate(std::size_t bytes, Stream stream, trace::Tag tag) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  if (bytes > s.capacity) {
    s.TraceFull(bytes, tag);
    return Status(StatusCode::kResourceExhausted);
  }
  const std::size_t rounded = s.Rounded(bytes);
  StatusOr<Block*> taken = s.Take(rounded, stream);
  if (!taken.ok()) {
    if (taken.status().code() == StatusCode::kResourceExhausted) s.TraceFull(rounded, tag);
    return taken.status();
  }
  Block* block = *taken;
  block->live = true;
  block->tag = tag;
  s.live_blocks.emplace(block->offset, block);
  s.live += rounded;
  s.live_peak = std::max(s.live_peak, s.live);
  s.TraceBlock(trace::Event::kPoolAllocate, *block);
  void* address = s.source.base() + block->offset;
  s.source.NoteBlock(address, rounded, /*live=*/true, stream);
  return address;
}

void BlockPool::Free(void* address, absl::Span<const Stream> streams) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  Block* block = s.Live(address, "Free");
  // With several streams there is none yet that comes after all of them.
  if (streams.size() == 1 && s.clocks.IsOrdered(streams.front(), block->stamp)) {
    s.source.NoteBlock(address, block->bytes, /*live=*/false, streams.front());
  }
  s.live_blocks.erase(block->offset);
  s.live -= block->bytes;
  block->live = false;
  for (const Stream stream : streams) s.clocks.StampFree(block->stamp, stream);
  s.TraceBlock(trace::Event::kPoolFree, *block);
  s.GiveBack(block);
}

void BlockPool::Tick(Stream stream) {
  MutexLock lock(state_->mutex);
  state_->clocks.Tick(stream);
}

void BlockPool::Forget(Stream stream) {
  MutexLock lock(state_->mutex);
  state_->clocks.Forget(stream);
}

std::size_t BlockPool::BlockBytes(const void* block) const {
  MutexLock lock(state_->mutex);
  return state_->Live(block, "BlockBytes")->bytes;
}

bool BlockPool::Contains(const void* address) const {
  MutexLock lock(state_->mutex);
  const auto* byte = static_cast<const std::byte*>(address);
  const std::byte* base = state_->source.base();
  return base != nullptr && byte >= base && byte < base + state_->source.grown();
}

Tier BlockPool::tier() const { return state_->source.tier(); }

TierStatistics BlockPool::statistics() const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  TierStatistics statistics;
  statistics.capacity = s.capacity;
  statistics.reserved = s.source.grown();
  statistics.locked = s.source.locked();
  statistics.live = s.live;
  statistics.live_peak = s.live_peak;
  statistics.extent_peak = s.extent_peak;
  return statistics;
}

std::size_t BlockPool::LargestHole() const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  return std::max(s.holes.largest(), s.capacity - s.extent);
}

std::size_t BlockPool::Trim() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  if (s.source.grown() == s.extent || !s.clocks.Synchronize(s.unused_stamp).ok()) return 0;
  const StatusOr<std::size_t> returned = s.source.Shrink(s.source.grown() - s.extent);
  if (!returned.ok() || *returned == 0) return 0;
  trace::Write(s.options.recorder, trace::Event::kPoolRelease, trace::Tag::kNone, 0, 0,
               static_cast<std::uint64_t>(s.source.tier()), *returned);
  return *returned;
}

void BlockPool::CheckInvariants() const {
  const State& s = *state_;
  MutexLock lock(s.mutex);
  std::size_t live = 0;
  std::size_t free = 0;
  std::size_t live_count = 0;
  std::size_t hole_count = 0;
  std::size_t end = s.extent;
  const Block* next = nullptr;
  for (const Block* block = s.last; block != nullptr; next = block, block = block->previous) {
    TIERLIB_CHECK(block->offset + block->bytes == end, "BlockPool I1: a gap or an overlap");
    TIERLIB_CHECK(block->bytes > 0 && block->bytes % s.options.alignment == 0,
                  "BlockPool I1: a block of no whole units");
    TIERLIB_CHECK(block->next == next, "BlockPool I1: the list is broken");
    TIERLIB_CHECK(block->live || (next != nullptr && next->live), "BlockPool I2: free neighbours");
    if (block->live) {
      const auto found = s.live_blocks.find(block->offset);
      TIERLIB_CHECK(found != s.live_blocks.end() && found->second == block, "BlockPool I3: a live block is not listed");
      ++live_count;
    } else {
      TIERLIB_CHECK(s.holes.At(block->offset) == block, "BlockPool I3: a hole is not listed");
      ++hole_count;
    }
    (block->live ? live : free) += block->bytes;
    end = block->offset;
  }
  TIERLIB_CHECK(end == 0, "BlockPool I1: the first block does not start at the base");
  TIERLIB_CHECK(hole_count == s.holes.size(), "BlockPool I3: a hole is listed that is none");
  s.holes.CheckInvariants();
  TIERLIB_CHECK(live == s.live && live_count == s.live_blocks.size(), "BlockPool I3: live bytes do not add up");
  TIERLIB_CHECK(live + free + (s.source.grown() - s.extent) == s.source.grown(), "BlockPool I3: bytes do not add up");
  TIERLIB_CHECK(s.extent <= s.source.grown() && s.source.grown() <= s.source.capacity(),
                "BlockPool I1: beyond the end");
  s.clocks.CheckInvariants();
}

}  // namespace tierlib
