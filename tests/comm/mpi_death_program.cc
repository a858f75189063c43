// What mpirun runs to see the job end. argv[1]: how learner 1 goes wrong.
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "comm/mpi_communicator.h"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const bool first_hangs = argc > 1 && std::strcmp(argv[1], "first_hangs") == 0;
  auto me = tierlib::comm::MakeMpiCommunicator({.deadline_ns = 200'000'000}).value();
  if (!me->Barrier().ok()) return 3;
  if (first_hangs && me->rank() == 0) sleep(100);
  if (!first_hangs && me->rank() == 1) raise(SIGKILL);
  const tierlib::Status status = me->Barrier();
  std::fprintf(stderr, "learner %d is told: %s\n", me->rank(), std::string(status.message()).c_str());
  MPI_Abort(MPI_COMM_WORLD, 4);
  return 4;
}
