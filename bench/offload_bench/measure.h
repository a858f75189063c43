// The measurements of offload_bench.
#ifndef TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_
#define TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_

#include <string>
#include <vector>

#include "offload_bench/models.h"
#include "offload_bench/report.h"

namespace tierlib::bench {

// On a device without bytes: only sizes matter.
BytesRow CountBytes(const Model& model);

// Forward and backward with compute on one thread. Each of the modes ("": all; or the one of that name) and links in
// turn, `rounds` times, `steps` steps each after one to warm up.
std::vector<StepRow> TimeSteps(const Model& model, const std::string& mode, int rounds, int steps);

SmallCosts MeasureSmallCosts();

// Steps whose time the runtime takes against the same steps without, in turn. REQUIRES: pairs > 0.
LedgerComparison CompareLedger(const Model& model, int pairs);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_
