// Numbers and names as people read them.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_NUMBERS_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_NUMBERS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace tierlib::trace_viewer {

// "48,213".
std::string FormatCount(std::uint64_t count);
// "12,345 steps", "1 step".
std::string FormatCount(std::uint64_t count, std::string_view singular);
// "0 s", "17 ns", "214 ms", "1.9 s", "12.4 min", "3.5 h": three significant digits.
std::string FormatDuration(std::uint64_t ns);
// "70 %"; "<1 %" where it is not nothing; "0 %" of nothing.
std::string FormatPercent(std::uint64_t part, std::uint64_t whole);
// "1.95 GiB/s"
std::string FormatRate(double bytes_per_second);

// A name from a file, safe for a terminal: control characters and bytes that are no UTF-8 become "?"; cut at `most`
// columns.
std::string Printable(std::string_view text, std::size_t most = 60);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_NUMBERS_H_
