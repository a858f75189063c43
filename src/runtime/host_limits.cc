#include "runtime/host_limits.h"

#include <algorithm>
#include <string>

#include "tierlib/bytes.h"

namespace tierlib::internal {
namespace {

bool HasBytes(const DeviceOptions& device) {
  return device.kind != DeviceKind::kEmulated || device.emulated.schedule != EmulatedSchedule::kShapeOnly;
}

}  // namespace

Status FitHostLimits(Options& options, std::optional<std::uint64_t> left) {
  if (!left || std::none_of(options.devices.begin(), options.devices.end(), HasBytes)) return OkStatus();
  const Options defaults;
  const struct {
    const char* name;
    std::uint64_t Options::*limit;
  } limits[] = {{"pinned_limit", &Options::pinned_limit}, {"pageable_limit", &Options::pageable_limit}};
  std::uint64_t rest = *left;
  std::string beside;  // what takes a part of it already
  for (const auto& [name, limit] : limits) {
    const std::uint64_t asked = options.*limit;
    if (asked == defaults.*limit) continue;
    if (asked > rest) {
      return InvalidArgumentError(std::string(name) + " " + FormatBytes(asked) + " asked, the cgroup leaves " +
                                  FormatBytes(rest) + beside);
    }
    rest -= asked;
    if (asked > 0) beside = std::string(" beside ") + name + " " + FormatBytes(asked);
  }
  for (const auto& [name, limit] : limits) {
    if (options.*limit != defaults.*limit) continue;
    options.*limit = std::min(options.*limit, rest / 2);
    rest -= options.*limit;
  }
  return OkStatus();
}

}  // namespace tierlib::internal
