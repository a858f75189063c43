// What the header of a trace file says, checked: the part of reading that needs no records.
#ifndef TIERLIB_SRC_TRACE_HEADER_READER_H_
#define TIERLIB_SRC_TRACE_HEADER_READER_H_

#include <string_view>

#include "tierlib/status.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/record_source.h"

namespace tierlib::trace {

// Of a file of either version, to `header` and the fields of `trace` that come from there. DataLoss, Unimplemented as
// ReadTrace.
Status ReadHeader(std::string_view bytes, FileHeader& header, Trace& trace);

// Once the records are known: what is missing of the file as a whole becomes gaps and problems of `trace`.
void CheckWhole(std::string_view bytes, const FileHeader& header, const RecordExtent& extent, Trace& trace);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_HEADER_READER_H_
