// The index of a trace file: where its blocks are. Readers use it to see that the end of a lane is missing; a file
// without one is read by going through its chunks.
#ifndef TIERLIB_SRC_TRACE_BLOCK_INDEX_H_
#define TIERLIB_SRC_TRACE_BLOCK_INDEX_H_

#include <deque>
#include <vector>

#include "trace/format.h"

namespace tierlib::trace {

// The chunks of the index, ready to be written one behind the other; the last one ends with its entries. Pure; throws
// std::bad_alloc alone.
std::vector<unsigned char> EncodeIndex(const std::deque<IndexEntry>& entries);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_BLOCK_INDEX_H_
