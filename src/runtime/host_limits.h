// FitHostLimits: the limits of the host tiers against what the system leaves this process of memory.
#ifndef TIERLIB_SRC_RUNTIME_HOST_LIMITS_H_
#define TIERLIB_SRC_RUNTIME_HOST_LIMITS_H_

#include <cstdint>
#include <optional>

#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib::internal {

// InvalidArgument where `left` bytes do not hold pinned_limit and pageable_limit as a program chose them. A limit that
// is as Options has it by itself is lowered instead, to at most half of what is there for it. Does nothing where
// nothing limits memory (no `left`), or where no device has bytes.
Status FitHostLimits(Options& options, std::optional<std::uint64_t> left);

}  // namespace tierlib::internal

#endif  // TIERLIB_SRC_RUNTIME_HOST_LIMITS_H_
