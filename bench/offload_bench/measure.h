// The measurements of offload_bench.
#ifndef TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_
#define TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_

#include <vector>

#include "offload_bench/models.h"
#include "offload_bench/report.h"

namespace tierlib::bench {

// On a device without bytes: only sizes matter.
BytesRow CountBytes(const Model& model);

// Forward and backward with compute on one thread. Each of the modes and links in turn, `rounds` times, `steps` steps
// each after one to warm up.
std::vector<StepRow> TimeSteps(const Model& model, int rounds, int steps);

SmallCosts MeasureSmallCosts();

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_OFFLOAD_BENCH_MEASURE_H_
