// Reader: takes a trace file apart. Any bytes may come; nothing in them is trusted.
#ifndef TIERLIB_SRC_TRACE_READER_H_
#define TIERLIB_SRC_TRACE_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tierlib/status.h"
#include "trace/event.h"

namespace tierlib::trace {

// A part of the file that could not be used, or that says that something is missing.
struct Problem {
  std::uint64_t offset = 0;  // byte in the file
  std::string what;          // one line
};

// Why events are missing. The codes are written to files that are made of others.
enum class GapReason : std::uint8_t {
  kOverwritten = 0,  // by a flight recorder
  kDropped = 1,      // the file could not grow, or reached its limit
  kTorn = 2,         // a record that was being written when the program ended
  kTruncated = 3,    // the program did not end the trace, or the file was cut: nothing is known after it
  kDamaged = 4,      // a part of the file cannot be read
};
inline constexpr std::size_t kGapReasonCount = 5;
const char* GapReasonName(GapReason reason);

// A time in which events are missing.
struct Gap {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;  // equal to begin_ns where the end is not known
  GapReason reason = GapReason::kDamaged;
  std::uint32_t lane = 0;     // of one thread; 0: of all
  std::uint64_t records = 0;  // how many are missing; 0: not known
};

struct Trace {
  // From the header.
  std::int32_t rank = 0;
  std::uint32_t process_id = 0;
  std::int64_t start_monotonic_ns = 0;  // the clock of the records, and
  std::int64_t start_wall_ns = 0;       // nanoseconds since 1970 at the same moment
  std::uint64_t device_capacity = 0;
  std::uint64_t pinned_capacity = 0;
  std::string device;
  // What copies of the link achieve at most, by DirectionCode out and in, in bytes per second; 0: not known.
  std::array<std::uint64_t, 2> ceiling_bytes_per_s = {};
  std::optional<CopyLimits> copy_limits;  // none: not known
  bool closed = false;                    // the program ended the trace itself
  bool is_copy = false;                   // or copied it, and went on
  std::uint64_t dropped = 0;              // records that the program could not write

  std::vector<Record> records;  // in the order of time; those of one thread keep their order at equal times
  absl::flat_hash_map<std::uint32_t, std::string> labels;

  static constexpr std::size_t kGapsMost = 1000;
  std::vector<Gap> gaps;  // at most kGapsMost are kept

  // What is wrong, in the order of the file; at most kProblemsMost are kept, `problem_count` counts all.
  static constexpr std::size_t kProblemsMost = 100;
  std::vector<Problem> problems;
  std::uint64_t problem_count = 0;

  // The text of a label; "" for 0, "label 17" where the text is missing.
  std::string LabelText(std::uint32_t label) const;
};

// Reads a whole trace. Never crashes or hangs; takes memory in proportion to `bytes`, whatever they claim: a record
// for every two bytes at most, half as much to sort them, and little else. (Who looks at each record once needs none of
// that: record_stream.h.) Problems are listed and what is readable is returned. DataLoss where nothing is (not a trace,
// or less than a header), Unimplemented for a version of the format that this one does not know.
StatusOr<Trace> ReadTrace(std::string_view bytes);

// The same, with the records from `begin_ns` to `end_ns` alone. Blocks that have none are not decompressed.
StatusOr<Trace> ReadTraceRange(std::string_view bytes, std::int64_t begin_ns, std::int64_t end_ns);

// The whole trace of a file, or for what is read from a descriptor until its end (`name` is for messages). NotFound,
// PermissionDenied or Unknown where it can not be read.
StatusOr<Trace> ReadTraceFile(const std::string& path);
StatusOr<Trace> ReadTraceDescriptor(int descriptor, const std::string& name);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_READER_H_
