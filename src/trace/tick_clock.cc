#include "trace/tick_clock.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>

#include "base/clock.h"
#include "base/failpoint.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tierlib::trace {
namespace {

Failpoint no_ticks_here("trace.ticks");

constexpr std::int64_t kHalfOfCalibrationNs = 250'000;

// A pair `ns` after `pair`, at the earliest.
ClockPair PairAfter(const ClockPair& pair, std::int64_t ns) {
  while (NowNs() < pair.monotonic_ns + ns) {
  }
  return MeasureClockPair();
}

double TicksPerNs(const ClockPair& a, const ClockPair& b) {
  return static_cast<double>(b.ticks - a.ticks) / static_cast<double>(b.monotonic_ns - a.monotonic_ns);
}

std::int64_t ClampToNs(double ns) {
  constexpr double kMost = 9.2e18;
  return static_cast<std::int64_t>(std::clamp(ns, -kMost, kMost));
}

std::int64_t AddClamped(std::int64_t a, std::int64_t b) {
  std::int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

double Difference(std::int64_t later, std::int64_t earlier) {
  return static_cast<double>(static_cast<std::uint64_t>(later) - static_cast<std::uint64_t>(earlier));
}

}  // namespace

bool HasInvariantTicks() {
#if defined(__x86_64__)
  if (no_ticks_here.Fails()) return false;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0) return false;
  return (d & 1u << 8) != 0;
#else
  return false;
#endif
}

// A kernel that found counters to differ, or to stop, takes another clock and does not offer this one any more. The
// clocks of hypervisors are made of the counter as well.
bool KernelTrustsTicks(const std::string& folder) {
  std::ifstream current_file(folder + "/current_clocksource");
  std::string current;
  if (!(current_file >> current)) return false;
  if (current == "tsc") return true;
  if (current != "kvm-clock" && current != "hyperv_clocksource_tsc_page") return false;
  std::ifstream available_file(folder + "/available_clocksource");
  for (std::string available; available_file >> available;) {
    if (available == "tsc") return true;
  }
  return false;
}

ClockPair MeasureClockPair() {
  constexpr int kTries = 5;
  ClockPair best;
  std::uint64_t best_width = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t before = ReadTicks();
    const std::int64_t ns = NowNs();
    const std::uint64_t width = ReadTicks() - before;
    if (width < best_width) {
      best_width = width;
      best = {before + width / 2, ns};
    }
  }
  return best;
}

StartOfTicks CalibrateTicks() {
  StartOfTicks start;
  start.pairs[0] = MeasureClockPair();
  if (!HasInvariantTicks() || !KernelTrustsTicks(kClockSourceFolder)) {
    start.pairs[0] = start.pairs[1] = {};
    return start;
  }
  const ClockPair middle = PairAfter(start.pairs[0], kHalfOfCalibrationNs);
  start.pairs[1] = PairAfter(middle, kHalfOfCalibrationNs);
  if (middle.ticks <= start.pairs[0].ticks || start.pairs[1].ticks <= middle.ticks) return start;
  const double first = TicksPerNs(start.pairs[0], middle);
  const double second = TicksPerNs(middle, start.pairs[1]);
  start.usable = first > 0.01 && first < 20 && std::abs(first - second) < 0.02 * first;
  return start;
}

bool TickScale::Add(ClockPair pair) {
  const auto after = std::upper_bound(pairs_.begin(), pairs_.end(), pair.ticks,
                                      [](std::uint64_t ticks, const ClockPair& p) { return ticks < p.ticks; });
  if (after != pairs_.end() && after->monotonic_ns <= pair.monotonic_ns) return false;
  if (after != pairs_.begin()) {
    const ClockPair& before = *std::prev(after);
    if (before.ticks >= pair.ticks || before.monotonic_ns >= pair.monotonic_ns) return false;
  }
  try {
    pairs_.insert(after, pair);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

std::int64_t TickScale::ToNs(std::uint64_t ticks) const {
  if (pairs_.empty()) return static_cast<std::int64_t>(ticks);
  const ClockPair& first = pairs_.front();
  const ClockPair& last = pairs_.back();
  if (pairs_.size() == 1) return first.monotonic_ns;
  const double rate = Difference(last.monotonic_ns, first.monotonic_ns) / static_cast<double>(last.ticks - first.ticks);
  if (ticks >= last.ticks) {
    return AddClamped(last.monotonic_ns, ClampToNs(static_cast<double>(ticks - last.ticks) * rate));
  }
  if (ticks < first.ticks) {
    return AddClamped(first.monotonic_ns, -ClampToNs(static_cast<double>(first.ticks - ticks) * rate));
  }
  const auto after = std::upper_bound(pairs_.begin(), pairs_.end(), ticks,
                                      [](std::uint64_t value, const ClockPair& p) { return value < p.ticks; });
  const ClockPair& before = *std::prev(after);
  const double slope =
      Difference(after->monotonic_ns, before.monotonic_ns) / static_cast<double>(after->ticks - before.ticks);
  const std::int64_t ns = AddClamped(before.monotonic_ns, ClampToNs(static_cast<double>(ticks - before.ticks) * slope));
  return std::min(ns, after->monotonic_ns);
}

void TickScale::Thin(std::size_t most) {
  if (pairs_.size() <= most) return;
  std::size_t kept = 1;
  for (std::size_t i = 2; i < pairs_.size(); i += i < pairs_.size() / 2 ? 2 : 1) pairs_[kept++] = pairs_[i];
  pairs_.resize(kept);
}

}  // namespace tierlib::trace
