// What tierlib's commands return to the shell.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_EXIT_CODES_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_EXIT_CODES_H_

namespace tierlib::trace_viewer {

inline constexpr int kOk = 0;
inline constexpr int kFindings = 1;  // a check or comparison found something, or a recorded program left no trace
inline constexpr int kUsage = 2;
inline constexpr int kUnreadable = 3;  // nothing of the input can be used
inline constexpr int kTruncated = 4;   // parts of the input are missing; the rest was used
inline constexpr int kNotWritten = 5;  // the output could not be written: no finding, though a check may have some

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_EXIT_CODES_H_
