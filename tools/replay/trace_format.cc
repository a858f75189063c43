#include "trace_format.h"

#include <string>
#include <vector>

namespace tierlib::trace_replay {
namespace {

constexpr TraceFormat kFormats[] = {
    {"tierlib", "a tierlib trace", IsTierlibTrace, ReadTierlibTrace},
    {"torch", "a PyTorch memory snapshot", IsTorchSnapshot, ReadTorchSnapshot},
    {"rmm", "an RMM log", IsRmmLog, ReadRmmLog},
    {"stalloc", "a STAlloc log", IsStallocLog, ReadStallocLog},
};

}  // namespace

StatusOr<const TraceFormat*> FindFormat(std::string_view name, std::string_view bytes) {
  for (const TraceFormat& format : kFormats) {
    if (name == "auto" ? format.recognises(bytes) : name == format.name) return &format;
  }
  if (name == "auto") {
    return InvalidArgumentError(
        "byte 0: not a trace that this program knows: a tierlib trace, a PyTorch snapshot (a pickle of protocol 2 to "
        "5), an RMM log (it begins with Thread,Time,Action,Pointer,Size,Stream) or STAlloc lines (1 pointer size "
        "stream)");
  }
  return InvalidArgumentError("no format is called " + std::string(name));
}

std::vector<std::string> FormatNames() {
  std::vector<std::string> names = {"auto"};
  for (const TraceFormat& format : kFormats) names.emplace_back(format.name);
  return names;
}

}  // namespace tierlib::trace_replay
