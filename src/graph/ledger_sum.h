// Sums and differences of ledgers, counter by counter.
#ifndef TIERLIB_SRC_GRAPH_LEDGER_SUM_H_
#define TIERLIB_SRC_GRAPH_LEDGER_SUM_H_

#include <cstdint>

#include "tierlib/statistics.h"

namespace tierlib {

// Calls each(a.counter, b.counter) for every one.
template <typename Each>
void ForEachCounter(Ledger& a, const Ledger& b, Each&& each) {
  // clang-format off
  constexpr std::uint64_t Ledger::*kCounters[] = {
      &Ledger::packs, &Ledger::unpacks, &Ledger::naive, &Ledger::moved, &Ledger::avoided_identity, &Ledger::avoided_lineage,
      &Ledger::frees_nothing, &Ledger::kept, &Ledger::moved_in, &Ledger::taken_back, &Ledger::replayed, &Ledger::engine_out, &Ledger::engine_in,
      &Ledger::freed, &Ledger::freed_made_again, &Ledger::freed_nothing, &Ledger::copies_out, &Ledger::copies_in, &Ledger::stalls, &Ledger::reconsidered,
      &Ledger::prefetched, &Ledger::prefetched_in_vain, &Ledger::prefetch_missed, &Ledger::avoided_recompute,
      &Ledger::recomputed, &Ledger::recomputes};
  // clang-format on
  static_assert(sizeof(Ledger) == sizeof(kCounters) / sizeof(kCounters[0]) * sizeof(std::uint64_t),
                "every counter of Ledger stands in kCounters");
  for (const auto counter : kCounters) each(a.*counter, b.*counter);
}

inline Ledger Sum(Ledger a, const Ledger& b) {
  ForEachCounter(a, b, [](std::uint64_t& to, std::uint64_t by) { to += by; });
  return a;
}

// later - earlier.
inline Ledger Difference(Ledger later, const Ledger& earlier) {
  ForEachCounter(later, earlier, [](std::uint64_t& to, std::uint64_t by) { to -= by; });
  return later;
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_LEDGER_SUM_H_
