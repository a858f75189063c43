// LearnerProcesses: learners that are processes, each of which mpirun started with the same arguments (--mpi).
#ifndef TRAIN_LM_LEARNER_PROCESSES_H_
#define TRAIN_LM_LEARNER_PROCESSES_H_

#include <functional>
#include <memory>

#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"
#include "train_lm/learner.h"

namespace train_lm {

// From Start to its destruction MPI runs in this process. Thread-safety: the thread that called Start.
class LearnerProcesses {
 public:
  // Starts MPI; what it cannot mend, it ends the process for. By itself, without mpirun, this process is the only
  // learner. Unimplemented where this program was built without MPI.
  static tierlib::StatusOr<std::unique_ptr<LearnerProcesses>> Start();
  ~LearnerProcesses();
  LearnerProcesses(const LearnerProcesses&) = delete;
  LearnerProcesses& operator=(const LearnerProcesses&) = delete;

  int rank() const;
  int count() const;

  // Runs `body` as this process's learner. Where one fails the others, which would wait for it, fail as well; all get
  // the status that RunLearners would give for their threads, and the stop_signal of the first that got one. A process
  // that dies ends the job: mpirun names its rank.
  tierlib::Status Run(const std::function<tierlib::Status(Learner)>& body);

 private:
  LearnerProcesses() = default;

  std::unique_ptr<tierlib::comm::Communicator> work_;  // of the body
  std::unique_ptr<tierlib::comm::Communicator> end_;   // tells how it ended, whatever has become of work_
};

}  // namespace train_lm

#endif  // TRAIN_LM_LEARNER_PROCESSES_H_
