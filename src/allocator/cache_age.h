// CacheAge: gives back free memory of a pool that was not handed out for a time. Every so often it looks at which
// chunks of the segment hold live blocks; chunks that held none then and were not handed out since are old.
//
//   A1  a chunk that is not noted as used held no live block when it was last looked at, nor since
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_CACHE_AGE_H_
#define TIERLIB_SRC_ALLOCATOR_CACHE_AGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/block_list.h"
#include "allocator/memory_source.h"
#include "allocator/stream_clocks.h"
#include "tierlib/bytes.h"

namespace tierlib {

class CacheAge {
 public:
  static constexpr std::size_t kChunk = MiB(2);

  // `age_ns` 0: does nothing.
  explicit CacheAge(std::int64_t age_ns) : age_ns_(age_ns) {}

  // Makes room for blocks that end at or before `end`; 0: for none. False where memory for that is missing.
  bool Prepare(std::size_t end) {
    return age_ns_ == 0 || end == 0 || (end - 1) / kChunk < used_.capacity() || MakeRoom(end);
  }
  // A block was handed out. REQUIRES: prepared.
  void NoteUse(std::size_t offset, std::size_t bytes) {
    if (age_ns_ == 0) return;
    const std::size_t end = (offset + bytes - 1) / kChunk + 1;
    if (used_.size() < end) used_.resize(end, false);
    for (std::size_t chunk = offset / kChunk; chunk < end; ++chunk) used_[chunk] = true;
  }

  // Whether GiveBack has something to do when the clock shows `now_ns`.
  bool IsDue(std::int64_t now_ns) const { return age_ns_ > 0 && (!looked_ || now_ns - looked_ns_ >= age_ns_); }
  // Gives back what is old, then looks again. So memory goes between one and two times the age after its last use, as
  // often as this is called. Waits for no work: where some that was enqueued before the last look still runs, nothing
  // goes yet. Returns the bytes. REQUIRES: IsDue; StreamClocks::Poll was just called.
  std::size_t GiveBack(std::int64_t now_ns, const BlockList& blocks, const StreamClocks& clocks, MemorySource& source);

 private:
  bool MakeRoom(std::size_t end);
  void Look(std::int64_t now_ns, const BlockList& blocks);
  // The old chunks of a free range, from the top.
  void GiveBackRange(std::size_t begin, std::size_t end, MemorySource& source) const;

  const std::int64_t age_ns_;
  bool looked_ = false;
  std::int64_t looked_ns_ = 0;
  StreamClocks::Stamp freed_;        // what was free at the last look comes after it
  std::vector<unsigned char> used_;  // by chunk, since the last look; those beyond were not
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CACHE_AGE_H_
