// ChunkReader: what is behind the header of a trace file, both versions. Looks at all chunks first, then takes apart
// those records that it needs, lane by lane, so that none comes twice where a chunk and the blocks made of it are both
// there. Keeps 32 bytes for each block and chunk, of which the file has 144 at least, and can take each apart again.
//
// Thread-safety: none; one object for one file.
#ifndef TIERLIB_SRC_TRACE_CHUNK_READER_H_
#define TIERLIB_SRC_TRACE_CHUNK_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "trace/column_block.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/tick_clock.h"

namespace tierlib::trace {

// How far a lane was read.
struct LaneEnd {
  std::uint64_t next = 0;    // number of the record that comes next
  std::int64_t last_ns = 0;  // the latest time so far
  ClockPair clock;           // of its last block
  bool begun = false;
};

// What the reader of a file that grows knows from the time before. See trace_follower.h.
struct ReadSoFar {
  std::map<std::uint32_t, LaneEnd> lanes;  // up to the last block that was read of each
  std::vector<ClockPair> pairs;
  // Lanes whose blocks go on behind a hole, and the number of the record that is missing. Those blocks are left for the
  // next time: what is missing came while the file was being read. Where it is missing again, it is lost.
  std::map<std::uint32_t, std::uint64_t> holes;
};

class ChunkReader {
 public:
  // Of a whole file; what is found goes to `trace`, whose fields from the header are there already.
  ChunkReader(std::string_view bytes, const FileHeader& header, Trace& trace);

  // Blocks that have no event from `begin_ns` to `end_ns` are left out unread, where the file has blocks.
  void OnlyBetween(std::int64_t begin_ns, std::int64_t end_ns);
  // Gives the records of each segment that has some, which are those of one lane and valid during the call. Records
  // that come at equal times are in the order of segments. `expect` is told before how many may come.
  using Expect = absl::FunctionRef<void(std::size_t records)>;
  using Sink = absl::FunctionRef<void(std::uint32_t segment, absl::Span<const Record> records)>;
  void Read(Expect expect, Sink sink);
  // Before Read: goes on from there, and leaves there how far the blocks went. Records that are in no block yet come
  // each time.
  void Continue(ReadSoFar* so_far) { so_far_ = so_far; }
  // Of a segment that Read gave: its records are in a block.
  bool IsSealed(std::uint32_t segment) const { return segments_[segment].is_block; }
  // What Read gave of a segment, once more.
  void ReadAgain(std::uint32_t segment, std::vector<Record>& records);

 private:
  static constexpr std::size_t kIndexLanesMost = 1 << 16;  // lanes whose end is compared with the index

  // Consecutive records of one lane: a block, or what a chunk holds.
  struct Segment {
    std::uint64_t first_record = 0;
    std::uint64_t offset = 0;  // of the block, or of the first record
    std::uint32_t lane = 0;
    std::uint32_t lane_begin = 0;  // of a chunk that was read: where its lane stood, in lane_begins_
    std::uint16_t bytes = 0;
    std::uint16_t records = 0;  // of a block
    std::uint16_t skip = 0;     // of a block that was read: records at its begin that come from elsewhere
    bool is_block = false;
    bool is_sealed = false;  // of a chunk: its checksum was right
  };
  static_assert(sizeof(Segment) == 32 && kPayloadBytes <= std::numeric_limits<std::uint16_t>::max());
  void Add(std::uint64_t offset, std::string what);
  void AddGap(const Gap& gap);
  void LookAtChunk(std::size_t offset, std::string_view chunk);
  void LookAtBlocks(std::size_t chunk_offset, std::string_view payload);
  void CheckTexts();
  void CheckSequence(std::size_t offset, const ChunkHeader& header);
  void ReadTexts(std::size_t chunk_offset, std::string_view payload);
  void ReadIndex(std::string_view payload);
  void ReadGaps(std::size_t chunk_offset, std::string_view payload);
  void MakeScale();
  void ReadLanes(Sink sink);
  LaneEnd BeginOf(std::uint32_t lane) const;
  bool WaitsForHole(const Segment& segment, const LaneEnd& sealed) const;
  // Each leaves the records in scratch_.
  void ReadSegment(Segment& segment, LaneEnd& lane);
  void ReadBlock(Segment& segment, LaneEnd& lane);
  void ReadRecords(Segment& segment, LaneEnd& lane);
  // Appends the records of a chunk from `lane` on, which goes on with them; says where they end in the payload.
  std::size_t TakeRecords(const Segment& segment, LaneEnd& lane, std::vector<Record>& records) const;
  std::int64_t TimeOfTicks(std::uint64_t ticks, const LaneEnd& lane) const;
  // A segment begins at its first record and `time_ns`: what is missing before it?
  void NoteLost(const Segment& segment, std::int64_t time_ns, LaneEnd& lane);
  void NoteLostEnd(std::uint32_t lane, const LaneEnd& end);
  void NoteOverwritten();
  void Damaged(std::uint64_t offset, std::string what);
  bool Wanted(const Segment& segment) const;
  bool has_blocks() const { return header_.version >= kVersion; }
  bool is_copy() const { return trace_.is_copy && trace_.closed; }

  const std::string_view bytes_;
  const FileHeader& header_;
  Trace& trace_;
  std::int64_t begin_ns_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t end_ns_ = std::numeric_limits<std::int64_t>::max();
  ReadSoFar* so_far_ = nullptr;                                      // null: nothing was read before
  absl::flat_hash_map<std::uint32_t, std::uint32_t> next_sequence_;  // of version 1's chunks, by lane
  std::vector<std::uint32_t> text_sequences_;                        // of version 2's chunks of texts
  std::map<std::uint32_t, LaneEnd> index_;  // by lane: where it ends, and whether that was looked at
  std::vector<Gap> told_gaps_;              // of the trace that this one was made of
  std::vector<Segment> segments_;
  std::vector<LaneEnd> lane_begins_;
  std::vector<Record> scratch_;
  std::vector<ClockPair> pairs_;
  TickScale scale_;
  const bool in_ticks_;
  BlockDecoder decoder_;
  std::int64_t last_ns_ = 0;       // the latest time of any lane
  bool damaged_ = false;           // something is missing, perhaps where no number tells
  std::uint64_t overwritten_ = 0;  // as the lanes say
  std::int64_t overwritten_until_ns_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHUNK_READER_H_
