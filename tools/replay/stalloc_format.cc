// STAlloc's log. Its profiler also writes lines that mark iterations, micro-batches and layers: where an iteration
// begins, the one before ends a step, and the others are passed over.
#include "text_log.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::string_view kRight = "\"1 pointer size stream\" (allocate) or \"0 pointer size stream\" (free)";

constexpr std::string_view kIteration = "Iteration Index";

bool Has(std::string_view line, std::string_view word) {
  return line.substr(0, 4096).find(word) != std::string_view::npos;
}
bool IsMark(std::string_view line) { return Has(line, kIteration) || Has(line, "micro-batch") || Has(line, "Layer"); }

StatusOr<bool> ReadLine(std::uint64_t number, std::string_view line, AllocationEvent* event,
                        std::optional<std::int64_t>* /*time_ns*/) {
  std::string_view rest = line;
  const std::string_view action = TakeField(&rest, ' ');
  if (action != "0" && action != "1") {
    if (Has(line, kIteration)) {
      event->kind = AllocationEvent::Kind::kStepEnd;  // of the iteration before
      return true;
    }
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
  while (lines.Next(&line)) {
    if (line.empty()) continue;
    AllocationEvent event;
    const StatusOr<bool> is_event = ReadLine(1, line, &event, nullptr);
    if (!is_event.ok()) return false;
    if (*is_event && event.kind != AllocationEvent::Kind::kStepEnd) return true;
  }
  return false;
}

StatusOr<AllocationTrace> ReadStallocLog(std::string_view bytes, const ReadOptions&) {
  TextLines lines(bytes);
  return ReadTextLog(&lines, ReadLine);
}

}  // namespace tierlib::trace_replay
