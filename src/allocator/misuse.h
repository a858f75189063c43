// Misuse of a pool's memory: the messages with which a program ends. Each is printed to standard error as that of a
// failed TIERLIB_CHECK.
//
// Thread-safety: every function may be called from several threads.
#ifndef TIERLIB_SRC_ALLOCATOR_MISUSE_H_
#define TIERLIB_SRC_ALLOCATOR_MISUSE_H_

#include <cstddef>
#include <cstdint>

#include "allocator/block_list.h"
#include "tierlib/tier.h"
#include "trace/event.h"

namespace tierlib::misuse {

// A block as the program knows it.
struct BlockName {
  Tier tier = Tier::kDevice;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  trace::Tag tag = trace::Tag::kNone;
  bool has_base = true;  // false: the offset is an address, as there is no pool that it could be counted in
};

// `use` says what the address was given for: "free".
[[noreturn]] void DieOfForeign(const char* use, const void* address, Tier tier);
[[noreturn]] void DieOfInterior(const char* use, const void* address, const BlockName& block, std::ptrdiff_t byte);
[[noreturn]] void DieOfFreed(const char* use, const void* address, const BlockName& block);
// Which of them it is, for an address at which no block of `blocks` begins that is live. `offset` is that of the
// address in the segment, huge where it is before that; blocks were handed out below `extent` only.
[[noreturn]] void DieOfAddress(const char* use, const void* address, std::size_t offset, std::size_t extent, Tier tier,
                               const BlockList& blocks);

// `byte`: of those behind the end, or before the beginning, the nearest that was written, from 0; or of the block.
[[noreturn]] void DieOfWriteBehind(const BlockName& block, std::size_t byte, std::byte found);
[[noreturn]] void DieOfWriteBefore(const BlockName& block, std::size_t byte, std::byte found);
[[noreturn]] void DieOfWriteAfterFree(const BlockName& block, std::ptrdiff_t byte, std::byte found);

}  // namespace tierlib::misuse

#endif  // TIERLIB_SRC_ALLOCATOR_MISUSE_H_
