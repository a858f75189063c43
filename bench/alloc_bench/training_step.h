// TrainingStep: the calls of a recorded training step as a sequence.
#ifndef TIERLIB_BENCH_ALLOC_BENCH_TRAINING_STEP_H_
#define TIERLIB_BENCH_ALLOC_BENCH_TRAINING_STEP_H_

#include "alloc_bench/workload.h"

namespace tierlib::bench {

Sequence TrainingStep();

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ALLOC_BENCH_TRAINING_STEP_H_
