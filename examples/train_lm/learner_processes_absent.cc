// LearnerProcesses where there is no MPI.
#include "train_lm/learner_processes.h"

namespace train_lm {

tierlib::StatusOr<std::unique_ptr<LearnerProcesses>> LearnerProcesses::Start() {
  return tierlib::UnimplementedError(
      "--mpi: this train_lm was built without MPI; install libopenmpi-dev and build it again");
}

LearnerProcesses::~LearnerProcesses() = default;

// Nothing below is reached: there is no object.
int LearnerProcesses::rank() const { return 0; }
int LearnerProcesses::count() const { return 1; }
tierlib::Status LearnerProcesses::Run(const std::function<tierlib::Status(Learner)>& body) { return body(Learner()); }

}  // namespace train_lm
