// FailCondition: one expression of diff's --fail-on, read and evaluated.
//
//   condition = name operator amount
//   operator  = ">" | ">=" | "<" | "<=" | "==" | "!="
//   amount    = ("+" | "-") number "%"       the change in percent of the value before
//             | ("+" | "-") quantity         the change itself
//             | quantity                     the value after
//   quantity  = number [unit]                bytes: K, MiB, GB ...; time: ns, us, ms, s, min; counts: no unit
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_FAIL_CONDITION_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_FAIL_CONDITION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "metrics.h"
#include "tierlib/status.h"

namespace tierlib::trace_viewer {

struct FailCondition {
  enum class Of : std::uint8_t { kPercent, kChange, kValue };
  enum class Operator : std::uint8_t { kMore, kAtLeast, kLess, kAtMost, kEqual, kDiffers };

  std::string text;  // as it was written
  std::string metric;
  Of of = Of::kValue;
  Operator op = Operator::kMore;
  double amount = 0;

  // From no bytes to some is an infinite percentage more.
  bool Holds(std::uint64_t before, std::uint64_t after) const;
};

// Several conditions with commas between them. `known`: the metrics that there are. InvalidArgument says in one line
// what is wrong; for a metric that is not known, which there are.
StatusOr<std::vector<FailCondition>> ParseFailConditions(std::string_view text, const std::vector<Metric>& known);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_FAIL_CONDITION_H_
