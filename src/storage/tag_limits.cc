#include "storage/tag_limits.h"

#include <limits>
#include <optional>
#include <string>

#include "trace/event.h"

namespace tierlib {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

Status UnknownTag(const std::string& tag) {
  std::string message = "tag_limits: there is no tag '" + tag + "', but ";
  for (std::size_t i = 0; i < trace::kTagCount; ++i) {
    message += (i == 0 ? "" : ", ") + std::string(trace::TagName(static_cast<trace::Tag>(i)));
  }
  return InvalidArgumentError(message);
}

}  // namespace

StatusOr<TierTagLimits> ReadTagLimits(const Options& options) {
  TierTagLimits limits;
  for (const TagLimit& one : options.tag_limits) {
    const std::optional<trace::Tag> tag = trace::FindTag(one.tag);
    if (!tag) return UnknownTag(one.tag);
    if (static_cast<std::size_t>(one.tier) >= kTierCount) {
      return InvalidArgumentError("tag_limits: a tier for " + one.tag + " that there is not");
    }
    std::size_t& limit = limits.tiers[static_cast<std::size_t>(one.tier)][static_cast<std::size_t>(*tag)];
    if (limit != kNone) {
      return InvalidArgumentError("tag_limits: " + one.tag + " is limited twice in the " + TierName(one.tier) +
                                  " tier");
    }
    limit = one.bytes;
    if (limit == kNone) --limit;  // no limit, but a second one is noticed
  }
  return limits;
}

}  // namespace tierlib
