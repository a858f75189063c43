// Event: the kinds of trace records, derived from events.def. Record: one of them as it stands in the file.
#ifndef TIERLIB_SRC_TRACE_EVENT_H_
#define TIERLIB_SRC_TRACE_EVENT_H_

#include <cstdint>

namespace tierlib::trace {

enum class Event : std::uint8_t {
#define TIERLIB_EVENT(name, code, text, subject, value, detail) k##name = code,
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
};

// Which part of a program holds or moves bytes.
enum class Tag : std::uint8_t {
  kNone, kParameter, kGradient, kOptimizer, kActivation, kSaved, kReload, kWorkspace, kClient,
};
const char* TagName(Tag tag);

// Why a stream of the program had to wait.
enum class StallCause : std::uint8_t { kAllocation, kCopyOutTail, kLateCopyIn, kWriteFence, kHostPool };
const char* StallCauseName(StallCause cause);

// 32 bytes, little endian, as written to the file.
struct Record {
  std::int64_t time_ns = 0;
  Event event = Event::kStepBegin;
  Tag tag = Tag::kNone;
  std::uint16_t detail = 0;
  std::uint32_t label = 0;
  std::uint64_t subject = 0;
  std::uint64_t value = 0;
};
static_assert(sizeof(Record) == 32);

// "transfer begin"; "?" for a code that this version does not know.
const char* EventName(Event event);
bool IsKnownEvent(std::uint8_t code);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_EVENT_H_
