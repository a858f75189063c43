// CutTrace: the part of a trace in a span of time, as a trace of its own.
//
// A part begins with the state that the program was in: what tiers had reserved, live blocks, registered storages, each
// as a record at the span's begin. After that it has what began within the span; ends of what began earlier, whose
// beginning would be missing, are left out. It is not ended, as nothing is known after it. So it adds up as far as it
// goes (check/conservation.h), and its sums are those of the span alone. It has the gaps of the trace up to the span's
// end, those before its begin too: what is missing there may be missing in the state. Pure; any thread.
#ifndef TIERLIB_SRC_TRACE_TRACE_CUT_H_
#define TIERLIB_SRC_TRACE_TRACE_CUT_H_

#include <cstdint>

#include "trace/reader.h"
#include "trace/record_source.h"

namespace tierlib::trace {

// Records from `begin_ns` to `end_ns`, both included, on the clock of the records.
// Takes memory for these, for what was live before, and for each storage.
Trace CutTrace(RecordSource& source, std::int64_t begin_ns, std::int64_t end_ns);
Trace CutTrace(const Trace& trace, std::int64_t begin_ns, std::int64_t end_ns);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TRACE_CUT_H_
