// CheckConservation: whether a trace adds up. What goes in comes out: blocks, transfers, packed bytes, spans of time.
// Each record is followed by the ledgers beside this file; what breaks a rule is a finding that names it.
#ifndef TIERLIB_SRC_TRACE_CHECK_CONSERVATION_H_
#define TIERLIB_SRC_TRACE_CHECK_CONSERVATION_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trace/check/findings.h"
#include "trace/reader.h"
#include "trace/record_source.h"

namespace tierlib::trace {

struct ConservationReport {
  std::vector<Finding> findings;  // at most Findings::kMost, in the order of records
  std::uint64_t finding_count = 0;
  std::array<std::uint64_t, kRuleCount> by_rule = {};

  // Breaches that missing records may explain. They are no findings, and there are some only where `complete` is false.
  std::uint64_t unexplained = 0;
  bool complete = true;          // no record is known to be missing but those after the end
  bool ended = true;             // the program ended the trace, so that what is open at its end is a finding
  bool several_devices = false;  // records do not tell devices apart: their blocks and transfers are not followed

  // What was followed.
  std::uint64_t records = 0;
  std::uint64_t blocks = 0;
  std::uint64_t transfers = 0;
  std::uint64_t storages = 0;
  std::uint64_t packs = 0;
  std::uint64_t steps = 0;
  std::uint64_t stalls = 0;
  std::uint64_t ops = 0;
};

// Takes memory for what is open at a time, and for each storage and transfer.
ConservationReport CheckConservation(RecordSource& source);
ConservationReport CheckConservation(const Trace& trace);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CHECK_CONSERVATION_H_
