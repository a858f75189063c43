// One learner's forward and backward pass of one row.
#ifndef TIERLIB_BENCH_ABLATION_LEARNER_H_
#define TIERLIB_BENCH_ABLATION_LEARNER_H_

#include <cstdint>
#include <vector>

#include "ablation/problem.h"
#include "ablation/turns.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib::bench {

struct Row {
  const char* name;
  const char* title;
  OffloadMode mode;
  bool uniquify;
  bool share;            // S: all learners run
  bool exact;            // the exact form, over f32 weights that it rounds to bf16, instead of the paper's chain
  bool parameter;        // W is one and stays on the device; otherwise it is a value of 16 bits that is saved
  double paper_mib = 0;  // 0: the paper has no such row
  double paper_seconds = 0;
  bool reference = false;  // the reference chain, of ops alone, instead of the paper's

  // What has kernels for a CUDA device. Kernels of the other rows are the host's.
  bool has_device_kernels() const { return exact || reference; }
};

// What one learner runs on.
struct Device {
  DeviceKind kind = DeviceKind::kEmulated;
  int rounds = 1;  // of both passes, of rows that share nothing: of times the least counts
};

struct LearnerResult {
  Status status;
  std::uint64_t host_bytes = 0;         // on the host between the passes, by the tiers' accounting
  std::uint64_t device_peak_bytes = 0;  // live on the device, at most
  double seconds = 0;
  std::vector<float> gradient;  // dL/dW as float32
};

// `me` is null where the row shares nothing; otherwise its learner has no turn, and has none afterwards. `dtype` (bf16
// or f32) is that of W and of the maps; no matter in an exact row.
LearnerResult RunLearner(const Problem& problem, const Row& row, DType dtype, const Device& device, Turns& turns,
                         TurnTaker* me);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_LEARNER_H_
