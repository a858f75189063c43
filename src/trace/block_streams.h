// BlockStreams: on which streams the blocks of a trace's pools were asked for and freed, as far as its records tell.
//
// Thread-safety: none.
#ifndef TIERLIB_SRC_TRACE_BLOCK_STREAMS_H_
#define TIERLIB_SRC_TRACE_BLOCK_STREAMS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "trace/event.h"
#include "trace/reader.h"

namespace tierlib::trace {

class BlockStreams {
 public:
  // `trace` outlives this; it has the texts that its records name.
  explicit BlockStreams(const Trace& trace) : trace_(trace) {}

  // The streams of a PoolAllocate, PoolFree or PoolFull, at least one; valid until the next call. Where the record
  // names none, the first of the block's record before it: a block that was taken back with its bytes, or freed from
  // the quarantine of hardened mode, waits for nothing. 0 where that names none either, as in older traces.
  // REQUIRES: called for the records in their order.
  absl::Span<const std::uint64_t> Of(const Record& record);

 private:
  const Trace& trace_;
  absl::flat_hash_map<std::uint32_t, std::vector<std::uint64_t>> named_;              // by label
  absl::flat_hash_map<std::pair<std::uint16_t, std::uint64_t>, std::uint64_t> last_;  // by tier and offset
  std::uint64_t one_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_BLOCK_STREAMS_H_
