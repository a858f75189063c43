// A MemorySource as another one is, but for the growth that a plan has fail. See tierlib/faults.h.
//
// Thread-safety: as every MemorySource.
#ifndef TIERLIB_SRC_ALLOCATOR_FAULTY_SOURCE_H_
#define TIERLIB_SRC_ALLOCATOR_FAULTY_SOURCE_H_

#include <memory>

#include "allocator/memory_source.h"
#include "tierlib/faults.h"

namespace tierlib {

// REQUIRES: `faults` outlives the source.
std::unique_ptr<MemorySource> MakeFaultySource(std::unique_ptr<MemorySource> source, Faults& faults);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FAULTY_SOURCE_H_
