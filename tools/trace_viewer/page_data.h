// The data of the page that `tierlib-trace view` writes: a trace as elements that the page's program reads. What they
// hold is described where they are read, in page/src/model.ts.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_PAGE_DATA_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_PAGE_DATA_H_

#include <string>
#include <string_view>

#include "tierlib/status.h"
#include "trace/reader.h"

namespace tierlib::trace_viewer {

// The elements of trace `number` of a page (0, or 1 for the one that it is compared with), as HTML. No text of the
// trace stands in them as it is: everything is JSON with < > and & escaped, or base64. `name` is the trace's, for
// people; `summary_json` what `summary --json` prints of it. Internal where zlib fails.
StatusOr<std::string> PageData(int number, const std::string& name, const std::string& summary_json,
                               const trace::Trace& trace);

// JSON that can stand within a script element: <, > and & only occur in its strings, and are escaped there.
std::string ForScript(std::string_view json);

std::string Base64(std::string_view bytes);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_PAGE_DATA_H_
