// RecordedRun: the trace of a small model's training on an emulated device, for tests that need a real one.
#ifndef TIERLIB_TESTS_TRACE_VIEWER_RECORDED_RUN_H_
#define TIERLIB_TESTS_TRACE_VIEWER_RECORDED_RUN_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "autograd/models.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"

namespace tierlib::trace_viewer {

struct RunShape {
  OffloadMode mode = OffloadMode::kMarshal;
  OffloadPolicy policy = OffloadPolicy::kAll;
  int steps = 3;
  int rank = 0;
  std::int64_t batch = 2;
  std::uint64_t piece_bytes = MiB(8);  // of copies
  std::uint64_t batch_bytes = 0;
};

// Trains and leaves the trace at `path`. A slow link makes the host wait for copies, so that there are stalls.
inline void RecordRun(const std::string& path, const RunShape& shape = {}) {
  Options options = autograd::SmallOptions();
  options.mode = shape.mode;
  options.policy = shape.policy;
  options.rank = shape.rank;
  options.trace = path;
  options.devices[0].spare_bytes = 0;
  options.devices[0].chunk_bytes = shape.piece_bytes;
  options.devices[0].coalesce_bytes = shape.batch_bytes;
  options.devices[0].emulated.copy_out_bytes_per_s = 50e6;
  options.devices[0].emulated.copy_in_bytes_per_s = 50e6;
  autograd::ModelOptions model;
  model.batch = shape.batch;
  model.layers = 1;
  const autograd::RunRecord run = autograd::TrainGpt(options, model, shape.steps);
  ASSERT_TRUE(run.status.ok()) << run.status;
}

inline Ran RunTrace(std::vector<std::string> arguments, const std::string& input = "/dev/null",
                    const std::string& output = "") {
  return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(arguments), input, output);
}

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TESTS_TRACE_VIEWER_RECORDED_RUN_H_
