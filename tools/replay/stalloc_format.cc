// STAlloc's log. Its profiler also writes lines that mark iterations, micro-batches and layers; they are passed over.
#include "text_log.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::string_view kRight = "\"1 pointer size stream\" (allocate) or \"0 pointer size stream\" (free)";

bool IsMark(std::string_view line) {
  const std::string_view beginning = line.substr(0, 4096);
  for (const std::string_view word : {"Iteration Index", "micro-batch", "Layer"}) {
    if (beginning.find(word) != std::string_view::npos) return true;
  }
  return false;
}

StatusOr<bool> ReadLine(std::uint64_t number, std::string_view line, AllocationEvent* event) {
  std::string_view rest = line;
  const std::string_view action = TakeField(&rest, ' ');
  if (action != "0" && action != "1") {
    if (IsMark(line)) return false;
    return WrongField(number, "line", line, kRight);
  }
  const std::string_view pointer = TakeField(&rest, ' ');
  const std::string_view size = TakeField(&rest, ' ');
  if (rest.empty() || rest.find(' ') != std::string_view::npos) return WrongField(number, "line", line, kRight);
  event->kind = action == "1" ? AllocationEvent::Kind::kAllocate : AllocationEvent::Kind::kFree;
  if (!ParseHexadecimal(pointer, &event->pointer)) {
    return WrongField(number, "pointer", pointer, "hexadecimal, as 0x7f0000000200");
  }
  if (!ParseDecimal(size, &event->bytes)) return WrongField(number, "size", size, "a number of bytes, as 4096");
  if (!ParseHexadecimal(rest, &event->stream)) return WrongField(number, "stream", rest, "hexadecimal, as 0");
  return true;
}

}  // namespace

bool IsStallocLog(std::string_view bytes) {
  constexpr std::size_t kLookAtMost = 64 << 10;
  TextLines lines(bytes.substr(0, kLookAtMost));
  std::string_view line;
  AllocationEvent event;
  while (lines.Next(&line)) {
    if (line.empty()) continue;
    const StatusOr<bool> is_event = ReadLine(1, line, &event);
    if (!is_event.ok()) return false;
    if (*is_event) return true;
  }
  return false;
}

StatusOr<AllocationTrace> ReadStallocLog(std::string_view bytes, const ReadOptions&) {
  TextLines lines(bytes);
  return ReadTextLog(&lines, ReadLine);
}

}  // namespace tierlib::trace_replay
