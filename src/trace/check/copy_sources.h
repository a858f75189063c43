// CopySources: the copies of one storage held against each other. What a copy in brings back was copied out before: a
// storage that comes in while it still goes out is no mistake where copies are made in pieces, or where other bytes of
// it had left already, and is one otherwise.
#ifndef TIERLIB_SRC_TRACE_CHECK_COPY_SOURCES_H_
#define TIERLIB_SRC_TRACE_CHECK_COPY_SOURCES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "trace/event.h"

namespace tierlib::trace {

class CopySources {
 public:
  struct CopyOut {
    std::uint64_t bytes = 0;
    // None where nobody measured it, or it failed: its bytes may have arrived at any time.
    std::optional<std::int64_t> begin_ns, end_ns;
  };
  struct CopyIn {
    std::uint64_t bytes = 0;
    std::int64_t begin_ns = 0;
    std::int64_t end_ns = 0;
  };
  enum class Missing { kNothing, kAtBegin, kAtEnd };

  // `copies`: every one out of the storage. `limits`: none where the trace does not say them; any copy may be in pieces
  // then. `slack_ns`: how far times may be off.
  CopySources(absl::Span<const CopyOut> copies, std::optional<CopyLimits> limits, std::int64_t slack_ns);

  // Whether the copy could have had its bytes: its first piece when it began, all of it when it ended.
  Missing Check(const CopyIn& copy) const;

 private:
  // Moments at which bytes arrive, and the sum of all until then.
  struct Arrival {
    std::int64_t time_ns = 0;
    std::uint64_t sum = 0;
  };

  static void SumUp(std::vector<Arrival>& arrivals);
  std::uint64_t ArrivedBy(std::int64_t time_ns, const std::vector<Arrival>& arrivals) const;
  std::uint64_t FirstPiece(std::uint64_t bytes) const;
  bool IsInPieces(std::uint64_t bytes) const;

  const std::optional<CopyLimits> limits_;
  const std::int64_t slack_ns_;
  std::uint64_t at_any_time_ = 0;
  std::vector<Arrival> whole_;        // each copy at its end
  std::vector<Arrival> with_pieces_;  // what is made in pieces at its begin
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_COPY_SOURCES_H_
