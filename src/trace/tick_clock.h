// The clock that records are stamped with: the processor's counter of ticks, where it runs at one rate whatever the
// processor does (an invariant TSC), and CLOCK_MONOTONIC elsewhere. TickScale turns ticks into nanoseconds.
//
// Reading the counter takes less than half of what clock_gettime does. What a tick is worth is measured: pairs of
// readings of both clocks, taken at the start, with each sealed block, once a second, and at the end.
//
// Thread-safety: functions from any thread; a TickScale has one owner.
#ifndef TIERLIB_SRC_TRACE_TICK_CLOCK_H_
#define TIERLIB_SRC_TRACE_TICK_CLOCK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "trace/format.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace tierlib::trace {

// The counter; 0 on processors that have none.
inline std::uint64_t ReadTicks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

// The processor says that the counter's rate never changes.
bool HasInvariantTicks();
// The kernel, which watches the counters of all processors, uses them for its own time; false where it does not say.
// `folder` is where it says so.
inline constexpr char kClockSourceFolder[] = "/sys/devices/system/clocksource/clocksource0";
bool KernelTrustsTicks(const std::string& folder);

// Both clocks at one moment, as near as a few tries come.
ClockPair MeasureClockPair();

// Two pairs half a millisecond apart, and whether ticks may be used: the counter is invariant, the kernel trusts it,
// and two halves of that time give the same rate to 2 %, between 10 MHz and 20 GHz.
struct StartOfTicks {
  ClockPair pairs[2];
  bool usable = false;
};
StartOfTicks CalibrateTicks();

// Ticks into nanoseconds, linear between neighbouring pairs. Never falls: what comes later in ticks is not earlier in
// nanoseconds. Beyond the last pair the rate is that between the first and the last one.
class TickScale {
 public:
  // Pairs come in any order; one that is not later than its neighbour on both clocks, or that there is no memory
  // for, is left out. False then.
  bool Add(ClockPair pair);
  std::int64_t ToNs(std::uint64_t ticks) const;
  std::size_t size() const { return pairs_.size(); }
  // Where there are more than `most` pairs, drops every second one of the older half: times there move by what the
  // clocks differ from a straight line between their neighbours, some nanoseconds.
  void Thin(std::size_t most);

 private:
  std::vector<ClockPair> pairs_;  // rising on both clocks
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TICK_CLOCK_H_
