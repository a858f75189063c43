// TransferLedger: every transfer from being asked for to its end, and which of them were under way at once.
#ifndef TIERLIB_SRC_TRACE_CHECK_TRANSFER_LEDGER_H_
#define TIERLIB_SRC_TRACE_CHECK_TRANSFER_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "trace/check/findings.h"
#include "trace/reader.h"

namespace tierlib::trace {

class TransferLedger {
 public:
  // `slack_ns`: how far times that the device measured may be off.
  TransferLedger(const Trace& trace, std::int64_t slack_ns, Findings& findings);

  void Take(const IndexedRecord& at);
  void Finish(bool ended);

  std::uint64_t count() const { return transfers_.size(); }
  std::uint64_t bytes_out() const { return bytes_out_; }  // asked for; wraps around
  // Of these, of copies that were refused or failed. Those that were refused are not booked as moved.
  std::uint64_t bytes_failed() const { return bytes_failed_; }

 private:
  struct Transfer {
    std::optional<RecordPlace> asked, begun, ended;
    std::optional<std::uint64_t> storage;
    RecordPlace first;  // record of it
    std::uint64_t bytes = 0;
    std::uint16_t direction = 0;
    bool failed = false;  // was asked for and ended without bytes
  };

  void TakePhase(const IndexedRecord& at, Transfer& transfer, std::optional<RecordPlace>& phase);
  void CheckWhole(std::uint64_t number, const Transfer& transfer, bool ended);
  void CheckOverlaps(std::uint16_t direction);
  // Of one storage, by number.
  void CheckSources(absl::Span<const std::uint64_t> numbers);
  void CheckEachStorage();
  std::string Name(std::uint64_t number,
                   const Transfer& transfer) const;  // "transfer 7 (out, 512 bytes of storage ...)"

  const Trace& trace_;
  const std::int64_t slack_ns_;
  Findings& findings_;
  absl::flat_hash_map<std::uint64_t, Transfer> transfers_;  // by number
  std::uint64_t bytes_out_ = 0;
  std::uint64_t bytes_failed_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_TRANSFER_LEDGER_H_
