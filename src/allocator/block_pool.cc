#include "allocator/block_pool.h"

#include <algorithm>
#include <utility>

#include "allocator/block_pool_plain.h"
#include "allocator/block_pool_state.h"
#include "allocator/give_back.h"
#include "base/check.h"

namespace tierlib {

BlockPool::BlockPool(Options options) {
  TIERLIB_CHECK(options.source != nullptr && options.device != nullptr, "BlockPool: a source and a device are needed");
  TIERLIB_CHECK(options.alignment > 0 && (options.alignment & (options.alignment - 1)) == 0,
                "BlockPool: the alignment is not a power of two");
  state_ = std::make_unique<State>(std::move(options));
  State& s = *state_;
  if (!s.options.hardening.has_value()) return;
  s.plain = std::make_unique<Plain>(*this);
  s.hardening = std::make_unique<Hardening>(
      *s.plain,
      Hardening::Settings{s.options.device, s.options.alignment, *s.options.hardening, s.options.quarantine_bytes});
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
    s.TraceFull(bytes, tag, stream);
    return Status(StatusCode::kResourceExhausted);
  }
  const std::size_t rounded = s.Rounded(bytes);
  State::TagRoom room(s, tag, rounded);
  if (!room) {
    s.TraceFull(rounded, tag, stream);
    return Status(StatusCode::kResourceExhausted);
  }
  const std::size_t aligned = std::max(alignment, s.options.alignment);
  const std::size_t end = std::min(s.capacity, s.blocks.NextOffset(aligned) + rounded);
  if (!s.live_blocks.Prepare(end) || !s.blocks.Prepare() || !s.age.Prepare(end)) {
    return Status(StatusCode::kResourceExhausted);
  }
  Block* block = nullptr;
  Status taken = s.Take(rounded, aligned, stream, &block);
  if (!taken.ok()) {
    if (taken.code() == StatusCode::kResourceExhausted) s.TraceFull(rounded, tag, stream);
    return taken;
  }
  s.HandOut(block, bytes, tag, s.stream_labels.Of(stream));
  room.Keep();
  void* address = s.base + block->offset;
  if (s.notes_blocks) s.source.NoteBlock(address, rounded, /*live=*/true, stream);
  return address;
}

std::uint64_t BlockPool::FreeBlock(void* address, absl::Span<const Stream> streams, bool with_bytes) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  Block* block = s.live_blocks.Remove(s.OffsetOf(address));
  s.RequireLive(block != nullptr, address, "free");
  // With several streams there is none yet that comes after all of them.
  if (!with_bytes && s.notes_blocks && streams.size() == 1 && s.clocks.IsOrdered(streams.front(), block->stamp)) {
    s.source.NoteBlock(address, block->bytes, /*live=*/false, streams.front());
  }
  s.LeaveTag(*block);
  for (const Stream stream : streams) s.clocks.StampFree(block->stamp, stream);
  s.TraceBlock(trace::Event::kPoolFree, *block, s.stream_labels.Of(streams));
  const std::uint64_t ticket = with_bytes ? s.freed.Add(block->offset, block->bytes, block->asked) : 0;
  s.blocks.GiveBack(block);
  return ticket;
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
  s.LeaveTag(*block);
  if (tag != block->tag) s.live_blocks.SetTag(block, tag);
  block->asked = asked;
  s.accounts.Add(block->tag, asked, block->bytes);
  if (s.options.shared_tag_limits != nullptr) s.options.shared_tag_limits->Add(block->tag, block->bytes);
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

std::size_t BlockPool::base_alignment() const { return state_->base_alignment; }

std::size_t BlockPool::live_bytes() const {
  MutexLock lock(state_->mutex);
  return state_->accounts.total().rounded;
}

TierStatistics BlockPool::statistics() const {
  MutexLock lock(state_->mutex);
  return state_->Figures();
}

TierStatistics BlockPool::Snapshot() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  TierStatistics statistics = s.Figures();
  s.clocks.Poll();
  const PoolFreeBytes free = CountFree(s.blocks, s.accounts.total().rounded, s.clocks, s.source);
  statistics.cached = free.cached;
  statistics.pending = free.pending;
  statistics.scattered = free.scattered;
  return statistics;
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
  const State::Returning returning(s);
  return GiveBack(s.blocks, {.bytes = bytes, .waits = true}, s.clocks, s.source);
}

std::size_t BlockPool::TrimEnded(std::size_t bytes) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  s.clocks.Poll();
  const State::Returning returning(s);
  const std::size_t returned = GiveBack(s.blocks, {.bytes = bytes}, s.clocks, s.source);
  (void)s.source.Shrink(0);  // nothing that has grown
  return returned;
}

std::uint64_t BlockPool::KeptBytes() const { return state_->options.cache.bytes; }

std::size_t BlockPool::TrimToBounds(std::int64_t now_ns, std::uint64_t bound) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  const bool ages = s.age.IsDue(now_ns);
  if (s.Reserved() - s.accounts.total().rounded <= bound && !ages) return 0;
  s.clocks.Poll();
  const State::Returning returning(s);
  if (ages) (void)s.age.GiveBack(now_ns, s.blocks, s.clocks, s.source);
  const std::size_t cached = CountFree(s.blocks, s.accounts.total().rounded, s.clocks, s.source).cached;
  if (cached > bound) {
    (void)GiveBack(s.blocks, {.bytes = cached - static_cast<std::size_t>(bound)}, s.clocks, s.source);
  }
  return returning.bytes();
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
  State& s = *state_;
  if (s.hardening != nullptr) s.hardening->CheckInvariants();
  MutexLock lock(s.mutex);
  s.blocks.CheckInvariants();
  s.live_blocks.CheckInvariants();
  s.clocks.CheckInvariants();
  TagAccounts counted;
  std::size_t free = 0;
  std::size_t pending = 0;
  const StreamClocks& clocks = s.clocks;
  const auto count_pending = [&](std::size_t offset, std::size_t bytes, const StreamClocks::Stamp& stamp) {
    if (!clocks.Reached(stamp)) pending += bytes - s.source.AbsentIn(offset, bytes);
  };
  for (const Block* block = s.blocks.last(); block != nullptr; block = block->previous) {
    if (!block->live) {
      free += block->bytes;
      count_pending(block->offset, block->bytes, block->stamp);
      continue;
    }
    TIERLIB_CHECK(s.live_blocks.At(block->offset) == block, "BlockPool I1: a live block is not listed");
    TIERLIB_CHECK(block->asked <= block->bytes, "BlockPool I2: more was asked for than a block has");
    counted.Add(block->tag, block->asked, block->bytes);
  }
  s.freed.ForEach([&](std::size_t offset, std::size_t bytes) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const Block* const hole = s.blocks.HoleAt(offset);
    TIERLIB_CHECK(hole == nullptr ? offset >= s.blocks.extent() : offset + bytes <= hole->offset + hole->bytes,
                  "BlockPool I4: a block that may be taken back is in use");
  });
  TIERLIB_CHECK(counted.total().blocks == s.live_blocks.size(), "BlockPool I1: a block is listed that is not live");
  TIERLIB_CHECK(counted.tags() == s.accounts.tags() && counted.total() == s.accounts.total(),
                "BlockPool I2: the accounts do not say what is live");
  const std::size_t grown = s.grown;
  TIERLIB_CHECK(grown == s.source.grown(), "BlockPool I3: the source has grown to something else");
  TIERLIB_CHECK(s.blocks.extent() <= grown && grown <= s.source.capacity(), "BlockPool I3: beyond the end");
  TIERLIB_CHECK(counted.total().rounded + free + (grown - s.blocks.extent()) == grown,
                "BlockPool I3: bytes are missing");
  count_pending(s.blocks.extent(), grown - s.blocks.extent(), s.blocks.unused_stamp());
  TIERLIB_CHECK(CountFree(s.blocks, counted.total().rounded, s.clocks, s.source).pending == pending,
                "BlockPool I5: bytes with work pending are not all known");
}

}  // namespace tierlib
