// MpiGroup: learners that are processes, over MPI (written against Open MPI 4.1). In the library tierlib::comm_mpi,
// which is there where MPI was when tierlib was built; this header needs no MPI.
//
// The behaviour is the thread group's (communicator.h). Learner 0 is the one that decides: the others tell it which
// collective they come to, it waits for them up to the deadline, compares, and answers all alike. So a collective
// succeeds on all or on none, and everybody is told the same. Once all have come, shares go directly between learners.
//
// What cannot be told any more ends the job, with a line that names the learner, by MPI_Abort: learner 0 gone without a
// word, any learner within a collective that all have come to, or one that lacks memory for messages.
//
// Thread-safety: calls of one communicator wait for each other, Abort too; so do not those of two. Where MPI was
// started for less than MPI_THREAD_SERIALIZED, a collective on another thread than that of MPI_Init (within a kernel,
// as sharded clustering makes it) is FailedPrecondition, and Abort ends the job.
#ifndef TIERLIB_COMM_MPI_COMMUNICATOR_H_
#define TIERLIB_COMM_MPI_COMMUNICATOR_H_

#include <cstdint>
#include <memory>

#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"

namespace tierlib::comm {

struct MpiOptions {
  // How long learner 0 waits for the last one to come, and the others for learner 0: as ThreadGroupOptions.
  std::uint64_t deadline_ns = 60'000'000'000;
  // A group of the first `learners` processes of MPI_COMM_WORLD; 0: all. The rest call as well, and get no
  // communicator.
  int learners = 0;
};

// This process's communicator; null for a process beyond `learners`. Every process of MPI_COMM_WORLD calls it at the
// same time. REQUIRES: the calling thread may use MPI, and so may the one that destroys the communicator; MPI_Finalize
// comes after that. Unavailable where MPI fails, FailedPrecondition where it was not started,
// InvalidArgument where there are fewer processes than `learners`.
StatusOr<std::unique_ptr<Communicator>> MakeMpiCommunicator(const MpiOptions& options = {});

}  // namespace tierlib::comm

#endif  // TIERLIB_COMM_MPI_COMMUNICATOR_H_
