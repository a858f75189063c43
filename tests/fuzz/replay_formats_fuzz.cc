// Any bytes as a recording for tierlib-replay: as a Python pickle, and in the format that recognises them. The first
// byte of the input chooses the format: that one, or one that need not recognise them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "pickle.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

void ReadAsPickle(std::string_view bytes) {
  const StatusOr<Pickle> pickle = Pickle::Read(bytes);
  if (!pickle.ok()) {
    TIERLIB_CHECK(!pickle.status().message().empty(), "a pickle is refused without a word");
    return;
  }
  (void)pickle->Find(pickle->root(), "segments");
  for (const PickleValue& value : pickle->Items(pickle->root())) {
    (void)pickle->Items(value);
    if (value.kind != PickleValue::Kind::kText && value.kind != PickleValue::Kind::kBytes) continue;
    const bool inside = value.size == 0 || (value.text >= bytes.data() && value.size <= bytes.size() &&
                                            value.text + value.size <= bytes.data() + bytes.size());
    TIERLIB_CHECK(inside, "a text outside the pickle");
  }
}

void ReadAs(std::string_view name, std::string_view bytes) {
  const StatusOr<const TraceFormat*> format = FindFormat(name, bytes);
  if (!format.ok()) return;
  const StatusOr<AllocationTrace> trace = (*format)->read(bytes, {});
  if (!trace.ok()) {
    TIERLIB_CHECK(!trace.status().message().empty(), "a file is refused without a word");
    return;
  }
  TIERLIB_CHECK(trace->events.size() <= bytes.size(), "more events than bytes");
  for (const AllocationEvent& event : trace->events) {
    const bool has_pointer =
        event.kind == AllocationEvent::Kind::kAllocate || event.kind == AllocationEvent::Kind::kFree;
    TIERLIB_CHECK(event.pointer != 0 || !has_pointer, "an event of a null pointer");
  }
  TIERLIB_CHECK(trace->times_ns.empty() || trace->times_ns.size() == trace->events.size(), "a time without an event");
  TIERLIB_CHECK(trace->problems.size() == std::min<std::uint64_t>(trace->problem_count, AllocationTrace::kProblemsMost),
                "problems are not counted");
}

}  // namespace
}  // namespace tierlib::trace_replay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tierlib::trace_replay;  // NOLINT: the function cannot be in it
  static const std::vector<std::string>& names = *new std::vector<std::string>(FormatNames());
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const std::string_view bytes = input.substr(1);
  ReadAsPickle(bytes);
  ReadAs(names[static_cast<std::uint8_t>(input[0]) % names.size()], bytes);
  return 0;
}
