// RecordStream: the records of a trace file in the order of time, without an array of all of them.
//
// Opening it takes every block apart once, to find what is missing and from when to when each block goes. To give the
// records, it goes over the blocks again and again, each time keeping the next `window` records in the order. The
// window is as wide as the blocks that lie over each other in time, so that a file is decoded three times in all. It
// takes at most a quarter of the file's size, and from 10 to 46 MiB: files somebody made up are decoded some twenty
// times up to 180 MiB, and more often the larger they are. So beside the file's own bytes there are the window, 40
// bytes for each record of it twice; 56 bytes for each block, of which the file has 144 at least; and the texts.
//
// Thread-safety: none; one thread at a time.
#ifndef TIERLIB_SRC_TRACE_RECORD_STREAM_H_
#define TIERLIB_SRC_TRACE_RECORD_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tierlib/status.h"
#include "trace/chunk_reader.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/record_source.h"

namespace tierlib::trace {

class RecordStream : public RecordSource {
 public:
  static constexpr std::size_t kWindowLeast = 1 << 17;  // records: 10 MiB
  static constexpr std::size_t kWindowMost = 600'000;
  static constexpr std::size_t kBytesPerWindowRecord = 320;  // of the file: 80 of each window's record are a quarter

  // Of a whole file, whose bytes stay where they are. `window`: 0 is as said above. Errors as those of ReadTrace.
  static StatusOr<std::unique_ptr<RecordStream>> Open(std::string_view bytes, std::size_t window = 0);
  // Of no file, for one of which nothing can be read: what is known of it.
  explicit RecordStream(Trace about);
  RecordStream(const RecordStream&) = delete;
  RecordStream& operator=(const RecordStream&) = delete;

  const Trace& about() const override { return about_; }
  RecordExtent extent() const override { return extent_; }
  std::size_t window() const { return window_; }
  void ForEachBetween(std::int64_t begin_ns, std::int64_t end_ns, Take take) override;

  // What whoever has the file in another one knows better.
  void SetRank(std::int32_t rank) { about_.rank = rank; }
  void AddProblem(std::uint64_t offset, std::string what);

 private:
  // Where a record is in the order of time.
  struct Position {
    std::int64_t time_ns = 0;
    std::uint32_t segment = 0;
    std::uint32_t index = 0;  // in the segment
    auto operator<=>(const Position&) const = default;
  };
  struct Placed {
    std::uint32_t segment = 0;
    std::uint32_t index = 0;
    Record record;
    Position position() const { return {record.time_ns, segment, index}; }
  };
  static_assert(sizeof(Placed) == 40);
  // A segment that has records, and the times of its first and last one.
  struct Piece {
    std::int64_t begin_ns = 0;
    std::int64_t end_ns = 0;
    std::uint32_t segment = 0;
    std::uint32_t records = 0;
  };

  void ReadPieces();
  // The records of those pieces that lie over each other at one time, where they are most.
  std::uint64_t MostAtOnce() const;
  // The next records of `from` to `*until`, in any order; where there are more than a window, the first ones, and
  // `*until` is the last one's place.
  void Collect(std::size_t first_piece, const Position& from, Position* until, std::vector<Placed>& placed);

  Trace about_;
  std::size_t window_ = kWindowLeast;
  FileHeader header_ = {};
  std::unique_ptr<ChunkReader> reader_;  // null: there is no file
  RecordExtent extent_;
  std::int64_t end_ns_ = kLastNs;  // later records do not count
  std::vector<Piece> pieces_;      // by begin_ns
  std::vector<Record> scratch_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RECORD_STREAM_H_
