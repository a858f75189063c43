// Timeline: a trace as tracks of slices, instants and counters, as viewers of other projects show it.
//
// Invariants
//   I1  slices of one track nest: each two lie apart or one within the other. What overlaps is split over tracks.
//   I2  slices of a track are in the order of their begins, an enclosing one before what it encloses.
//   I3  a flow has one source and one target: the end of a copy, and the end of the stall that it ended, not earlier.
//       Tracks of copies are before those of stalls.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_TIMELINE_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_TIMELINE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "trace/record_source.h"

namespace tierlib::trace_viewer {

struct TimelineArgument {
  const char* key;
  std::uint64_t number = 0;
  std::string text;  // in place of the number where it is not empty
};

struct Slice {
  std::uint64_t begin_ns = 0;  // since the timeline's zero
  std::uint64_t end_ns = 0;
  std::string name;  // printable
  std::vector<TimelineArgument> arguments;
  std::uint64_t flow_out = 0;           // of a transfer that something waited for; 0: none
  std::vector<std::uint64_t> flows_in;  // of a stall
};

struct TimelineInstant {
  std::uint64_t time_ns = 0;
  std::string name;
  std::vector<TimelineArgument> arguments;
};

struct TimelineTrack {
  std::string name;
  const char* category;
  std::vector<Slice> slices;
  std::vector<TimelineInstant> instants;
};

struct TimelineCounter {
  std::string name;                                              // "device live"; in bytes
  std::vector<std::pair<std::uint64_t, std::uint64_t>> samples;  // time and value
};

struct Timeline {
  std::int32_t rank = 0;
  std::uint32_t process_id = 0;
  std::string name;  // "rank 0, emulated:0"
  std::vector<TimelineTrack> tracks;
  std::vector<TimelineCounter> counters;
};

// Of each rank, on one time base: nanoseconds since the earliest start, by the wall clock where there are several
// (machines have monotonic clocks of their own). What is earlier counts as at zero; what never ends, ends with the
// trace. Flows are numbered over all of them, from 1.
std::vector<Timeline> TimelinesOf(const std::vector<trace::RecordSource*>& ranks);
std::vector<Timeline> TimelinesOf(const std::vector<trace::Trace>& ranks);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_TIMELINE_H_
