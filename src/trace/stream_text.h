// The text that a pool's records carry as their label: which streams a block was asked for on, or freed on.
//
//     "stream 3"          "streams 3, 5"
//
// The numbers tell the streams of a device apart, as DeviceBackend::StreamNumber does: none is used twice.
#ifndef TIERLIB_SRC_TRACE_STREAM_TEXT_H_
#define TIERLIB_SRC_TRACE_STREAM_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace tierlib::trace {

// "" for no streams. Throws std::bad_alloc.
std::string StreamsText(absl::Span<const std::uint64_t> numbers);

// The reverse, in the order of the text. Empty for any other text: no program of ours wrote it.
std::vector<std::uint64_t> ParseStreamsText(std::string_view text);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_STREAM_TEXT_H_
