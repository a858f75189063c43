// EncodeTrace: a trace as the bytes of a file, all at once, for what makes a trace out of others. Programs write theirs
// with trace/recorder.h. Pure; any thread.
#ifndef TIERLIB_SRC_TRACE_TRACE_WRITER_H_
#define TIERLIB_SRC_TRACE_TRACE_WRITER_H_

#include <string>

#include "trace/reader.h"

namespace tierlib::trace {

// A file of blocks, all in one lane, with an index where there are many. ReadTrace gives the same records, labels, gaps
// and facts of the header back; of a trace that was not ended also the gap at its end. Texts are cut at kTextBytesMost;
// problems are not written. Throws std::bad_alloc alone.
std::string EncodeTrace(const Trace& trace);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TRACE_WRITER_H_
