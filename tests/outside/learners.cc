// A project's learners: as many processes as mpirun starts, which sum their ranks.
#include <mpi.h>
#include <tierlib/comm/mpi_communicator.h>

#include <cstdint>
#include <cstdio>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int exit_code = 1;
  {
    auto group = tierlib::comm::MakeMpiCommunicator();
    if (group.ok()) {
      tierlib::comm::Communicator& learner = **group;
      const std::int64_t rank = learner.rank();
      std::int64_t sum = -1;
      const tierlib::Status status =
          learner.AllReduce(&rank, &sum, 1, tierlib::DType::kI64, tierlib::comm::Reduction::kSum);
      if (status.ok() && sum == learner.size() * (learner.size() - 1) / 2) exit_code = 0;
      if (learner.rank() == 0) std::printf("%d learners over MPI: %s\n", learner.size(), status.ToString().c_str());
    }
  }
  MPI_Finalize();
  return exit_code;
}
