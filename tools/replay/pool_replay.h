// Replays a program against a block pool without memory behind it: what the pool would do, and what it costs.
#ifndef TIERLIB_TOOLS_REPLAY_POOL_REPLAY_H_
#define TIERLIB_TOOLS_REPLAY_POOL_REPLAY_H_

#include <cstdint>

#include "pool_configuration.h"
#include "replay_program.h"
#include "tierlib/status.h"

namespace tierlib::trace_replay {

// All figures but ns_per_operation depend on the program and the configuration alone. Steps are counted without the
// ends of steps of training.
struct ReplayResult {
  std::uint64_t operations = 0;  // allocations and frees that the pool was asked for
  std::uint64_t failures = 0;    // allocations that did not fit; their frees are left out
  std::uint64_t failed_bytes = 0;
  std::uint64_t first_failure = 0;          // its step, where there are failures
  std::uint64_t tag_limit_failures = 0;     // of the failures, those that the limit of a tag refused
  std::uint64_t recorded_failures_fit = 0;  // of the failures in the trace, those that would fit here
  std::uint64_t waits = 0;                  // with a lag: inserted into a stream for the work of another one
  std::uint64_t live_at_end = 0;            // bytes asked for and not freed

  // When the bytes asked for and not freed were most, for the first time. reserved = live + rounding + free. Guards and
  // quarantine of hardened mode are in `rounding`.
  struct Peak {
    std::uint64_t step = 0;
    std::uint64_t live = 0;
    std::uint64_t rounding = 0;
    std::uint64_t reserved = 0;
  } peak;
  std::uint64_t reserved_most = 0;
  std::uint64_t reserved_at_end = 0;  // which is the most where nothing is given back
  std::uint64_t given_back = 0;       // bytes, by the bounds on what is cached

  // When the most free bytes lay outside the largest hole. Free bytes are those of the addresses that memory was ever
  // reserved for.
  struct Fragmentation {
    std::uint64_t step = 0;
    std::uint64_t free = 0;
    std::uint64_t largest_hole = 0;
  } worst;

  std::uint32_t addresses = 0;  // CRC-32C over the offset of every block in turn (all ones for a failure), 64 bits each
  bool repeated_equally = true;  // two runs gave the same addresses
  double ns_per_operation = 0;
};

// InvalidArgument or ResourceExhausted, naming the option, where there can be no such pool.
StatusOr<ReplayResult> Replay(const ReplayProgram& program, const PoolConfiguration& configuration);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_POOL_REPLAY_H_
