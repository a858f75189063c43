// A MemorySource that keeps one piece ready: while a program uses what it got, a thread grows the next piece of the
// source below, so that Grow seldom waits for pages to be zeroed, locked and registered.
//
// What is ready goes back with any Shrink, of 0 bytes too. It is no part of grown() until Grow asks for it, so the
// addresses that a pool hands out do not depend on how fast the thread is. Where the thread could not grow, nothing is
// kept of that: the Grow that needs the memory tries by itself, and its status is what counts then.
//
// Thread-safety: as every MemorySource; the thread that grows has its own lock.
#ifndef TIERLIB_SRC_ALLOCATOR_GROWTH_AHEAD_H_
#define TIERLIB_SRC_ALLOCATOR_GROWTH_AHEAD_H_

#include <cstddef>
#include <memory>

#include "allocator/memory_source.h"

namespace tierlib {

// `piece`: bytes to keep ready, once something was grown. REQUIRES: base() of `source` is known before it grows, as
// that of host memory is, and `piece` is a multiple of its granularity. The thread starts with the first Grow and ends
// with the source; where the system gives no thread, Grow works as that of `source`.
std::unique_ptr<MemorySource> GrowAhead(std::unique_ptr<MemorySource> source, std::size_t piece);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_GROWTH_AHEAD_H_
