// TraceFollower: a trace that a program is writing, looked at again and again. Each time it reads and decodes what is
// new alone: blocks that came, chunks that are being filled. Of a trace that was ended, all of it once more.
//
// Memory: 32 bytes for each record so far, and what is new of the file. Thread-safety: none; one thread at a time.
#ifndef TIERLIB_SRC_TRACE_TRACE_FOLLOWER_H_
#define TIERLIB_SRC_TRACE_TRACE_FOLLOWER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/status.h"
#include "trace/chunk_reader.h"
#include "trace/format.h"
#include "trace/reader.h"

namespace tierlib::trace {

class TraceFollower {
 public:
  explicit TraceFollower(std::string path) : path_(std::move(path)) {}

  // Reads what was written since the last call. Where another trace has taken the place of the one before, that one
  // from its begin. Errors as those of ReadTraceFile.
  Status Refresh();
  // The records so far, in the order of time, with the texts and what the header says. Gaps and problems are those of
  // a trace that was ended; of one that is being written there are none yet.
  const Trace& trace() const { return trace_; }
  // By all calls.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  // A chunk that will not change any more, unless a flight recorder overwrites it: then it has another sequence.
  struct Final {
    bool is = false;
    std::uint32_t sequence = 0;
  };

  Status RefreshFrom(int descriptor);
  // The header and those chunks that may have something new, as a file of its own.
  StatusOr<std::string> ReadChanged(int descriptor, std::uint64_t file_bytes);
  Status ReadAt(int descriptor, std::uint64_t offset, std::size_t bytes, std::string& to);
  void Take(Trace&& facts, std::vector<Record>&& sealed, std::vector<Record>&& open);
  void RemoveOpen();

  const std::string path_;
  Trace trace_;
  FileHeader header_ = {};  // of the trace that is followed; zeros: none
  ReadSoFar so_far_;
  std::vector<Final> finals_;             // by chunk
  std::vector<std::size_t> just_read_;    // chunks that become final if nothing of them is missing
  std::vector<std::size_t> open_places_;  // in trace_.records, rising: those in no block yet, which come again
  std::uint64_t bytes_read_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TRACE_FOLLOWER_H_
