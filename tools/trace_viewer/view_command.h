// tierlib-trace view FILE [-o OUT] [--compare B]: one HTML file that shows a trace in a browser, without a network.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_VIEW_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_VIEW_COMMAND_H_

#include <optional>
#include <string>
#include <string_view>

namespace tierlib::trace_viewer {

struct ViewOptions {
  std::string file;         // "-": standard input
  std::string compare;      // another trace; "": none
  std::string output;       // "": the trace's name with ".html" after it; "-": standard output
  std::optional<int> rank;  // of merged traces
  bool json = false;
  bool open = true;  // in a browser, where there is a display
};

// Writes the page, what it wrote to standard output, and problems of the traces to standard error. Returns an exit
// code.
int RunView(const ViewOptions& options);

// The page without data, as page/build.mjs made it. Data stands where kPageDataMark is.
std::string_view PageHtml();
inline constexpr std::string_view kPageDataMark = "<!--tierlib-trace-data-->";

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_VIEW_COMMAND_H_
