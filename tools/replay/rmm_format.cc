// RMM's log, as its logging_resource_adaptor writes it and its replay benchmark reads it.
#include "text_log.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::string_view kHeader = "Thread,Time,Action,Pointer,Size,Stream";

bool TakeOff(std::string_view* text, char beginning) {
  if (text->empty() || text->front() != beginning) return false;
  text->remove_prefix(1);
  return true;
}

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

// "10:15:42.125456", or with a colon before the fraction: nanoseconds since midnight. Nothing for any other text.
std::optional<std::int64_t> TimeOfDayNs(std::string_view text) {
  std::uint64_t parts[3];
  for (std::uint64_t& part : parts) {
    const std::string_view digits = text.substr(0, 2);
    if (digits.size() < 2 || !ParseDecimal(digits, &part) || part >= 60) return std::nullopt;
    text.remove_prefix(2);
    if (&part != &parts[2] && !TakeOff(&text, ':')) return std::nullopt;
  }
  std::uint64_t fraction = 0;
  if (!text.empty()) {
    if (!TakeOff(&text, '.') && !TakeOff(&text, ':')) return std::nullopt;
    if (text.size() > 9 || !ParseDecimal(text, &fraction)) return std::nullopt;
    for (std::size_t digits = text.size(); digits < 9; ++digits) fraction *= 10;
  }
  return static_cast<std::int64_t>(((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1'000'000'000 + fraction);
}

// The log has no date: a time that falls by more than half a day is of the day after.
class Clock {
 public:
  std::optional<std::int64_t> Read(std::string_view text) {
    std::optional<std::int64_t> time_ns = TimeOfDayNs(text);
    if (!time_ns.has_value()) return time_ns;
    *time_ns += days_ * kDayNs;
    if (*time_ns < last_ns_ - kDayNs / 2 && days_ < kDaysMost) {
      ++days_;
      *time_ns += kDayNs;
    }
    last_ns_ = *time_ns;
    return time_ns;
  }

 private:
  static constexpr std::int64_t kDayNs = 86'400'000'000'000;
  static constexpr std::int64_t kDaysMost = 100'000;
  std::int64_t days_ = 0;
  std::int64_t last_ns_ = 0;
};

StatusOr<bool> ReadLine(std::uint64_t number, std::string_view line, Clock* clock, AllocationEvent* event,
                        std::optional<std::int64_t>* time_ns) {
  std::string_view rest = line;
  TakeField(&rest, ',');  // thread
  const std::string_view time = TakeField(&rest, ',');
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
  *time_ns = clock->Read(time);
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
  Clock clock;
  return ReadTextLog(&lines, [&clock](std::uint64_t number, std::string_view text, AllocationEvent* event,
                                      std::optional<std::int64_t>* time_ns) {
    return ReadLine(number, text, &clock, event, time_ns);
  });
}

}  // namespace tierlib::trace_replay
