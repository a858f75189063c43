// PlainBlocks: what Hardening stands on: the blocks of one tier, as they are handed out without it.
//
// Thread-safety: all functions lock. Hardening calls them under its own lock.
#ifndef TIERLIB_SRC_ALLOCATOR_PLAIN_BLOCKS_H_
#define TIERLIB_SRC_ALLOCATOR_PLAIN_BLOCKS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/tier.h"
#include "trace/event.h"

namespace tierlib {

class PlainBlocks {
 public:
  virtual ~PlainBlocks() = default;

  virtual Tier tier() const = 0;
  // What a block's offset is counted from, once there are blocks; null where they lie anywhere.
  virtual const std::byte* base() const = 0;

  // As BlockPool::Allocate and Free.
  virtual StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment) = 0;
  virtual void Free(void* block, absl::Span<const Stream> streams) = 0;
  // Books a live block under another tag, with `asked` of its bytes as asked for and the rest as waste.
  virtual void Book(const void* block, std::size_t asked, trace::Tag tag) = 0;
  // What a live block takes, rounded. REQUIRES: live (aborts otherwise).
  virtual std::size_t BlockBytes(const void* block) const = 0;
  // Aborts with a message where no live block starts there. `use` says what the address was given for: "free".
  virtual void Require(const char* use, const void* block) const = 0;
  // A block of more bytes is refused now.
  virtual std::size_t LargestFree() const = 0;
  virtual std::size_t live_blocks() const = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_PLAIN_BLOCKS_H_
