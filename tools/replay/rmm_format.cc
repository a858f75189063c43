// RMM's log, as its logging_resource_adaptor writes it and its replay benchmark reads it.
#include "text_log.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::string_view kHeader = "Thread,Time,Action,Pointer,Size,Stream";

Status ReadAction(std::uint64_t number, std::string_view action, AllocationEvent::Kind* kind) {
  if (action == "allocate") {
    *kind = AllocationEvent::Kind::kAllocate;
  } else if (action == "free") {
    *kind = AllocationEvent::Kind::kFree;
  } else if (action == "allocate failure") {
    *kind = AllocationEvent::Kind::kFailure;
  } else {
    return WrongField(number, "action", action, "allocate, allocate failure or free");
  }
  return OkStatus();
}

StatusOr<bool> ReadLine(std::uint64_t number, std::string_view line, AllocationEvent* event) {
  std::string_view rest = line;
  TakeField(&rest, ',');  // thread
  TakeField(&rest, ',');  // time
  const std::string_view action = TakeField(&rest, ',');
  const std::string_view pointer = TakeField(&rest, ',');
  const std::string_view size = TakeField(&rest, ',');
  if (rest.empty() || rest.find(',') != std::string_view::npos) {
    return WrongField(number, "line", line, "six fields: " + std::string(kHeader));
  }
  TIERLIB_RETURN_IF_ERROR(ReadAction(number, action, &event->kind));
  if (!ParseHexadecimal(pointer, &event->pointer)) {
    return WrongField(number, "pointer", pointer, "hexadecimal, as 0x7f0000000200");
  }
  if (!ParseDecimal(size, &event->bytes)) return WrongField(number, "size", size, "a number of bytes, as 4096");
  if (!ParseHexadecimal(rest, &event->stream)) return WrongField(number, "stream", rest, "hexadecimal, as 0x0");
  return true;
}

}  // namespace

bool IsRmmLog(std::string_view bytes) {
  TextLines lines(bytes.substr(0, 100));
  std::string_view line;
  return lines.Next(&line) && line == kHeader;
}

StatusOr<AllocationTrace> ReadRmmLog(std::string_view bytes, const ReadOptions&) {
  TextLines lines(bytes);
  std::string_view line;
  if (!lines.Next(&line) || line != kHeader) return WrongField(1, "header", line, kHeader);
  return ReadTextLog(&lines, ReadLine);
}

}  // namespace tierlib::trace_replay
