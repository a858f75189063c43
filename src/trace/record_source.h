// RecordSource: the records of a trace one after the other, from memory (below) or from a file (record_stream.h). What
// looks at each record once takes one of these, and needs no memory for all of them.
//
// Thread-safety: none; one thread at a time.
#ifndef TIERLIB_SRC_TRACE_RECORD_SOURCE_H_
#define TIERLIB_SRC_TRACE_RECORD_SOURCE_H_

#include <cstdint>
#include <limits>

#include "absl/functional/function_ref.h"
#include "trace/reader.h"

namespace tierlib::trace {

// How many records there are, and from when to when; zeros where there are none.
struct RecordExtent {
  std::uint64_t records = 0;
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;
};

class RecordSource {
 public:
  using Take = absl::FunctionRef<void(const Record&)>;
  static constexpr std::int64_t kFirstNs = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kLastNs = std::numeric_limits<std::int64_t>::max();

  virtual ~RecordSource() = default;
  // What the trace has beside records: of `records` nothing is promised.
  virtual const Trace& about() const = 0;
  virtual RecordExtent extent() const = 0;
  // The records from `begin_ns` to `end_ns`, both included, in the order of time; as often as it is called. Throws
  // std::bad_alloc alone.
  virtual void ForEachBetween(std::int64_t begin_ns, std::int64_t end_ns, Take take) = 0;
  void ForEach(Take take) { ForEachBetween(kFirstNs, kLastNs, take); }
};

// Of a trace in memory, which stays there as it is.
class TraceRecords : public RecordSource {
 public:
  explicit TraceRecords(const Trace& trace) : trace_(trace) {}
  const Trace& about() const override { return trace_; }
  RecordExtent extent() const override;
  void ForEachBetween(std::int64_t begin_ns, std::int64_t end_ns, Take take) override;

 private:
  const Trace& trace_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RECORD_SOURCE_H_
