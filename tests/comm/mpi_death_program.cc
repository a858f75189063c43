// What mpirun runs to see the job end. argv[1]: how learner 1, or the first one, goes wrong.
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>
#include <thread>

#include "tierlib/comm/mpi_communicator.h"

namespace {

bool lacks_memory = false;

}  // namespace

void* operator new(std::size_t bytes) {
  void* const block = lacks_memory ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);  // for one thread
  const std::string_view how = argc > 1 ? argv[1] : "";
  auto me = tierlib::comm::MakeMpiCommunicator({.deadline_ns = 200'000'000}).value();
  if (!me->Barrier().ok()) return 3;
  if (how == "first_hangs" && me->rank() == 0) sleep(100);
  if (how == "dies" && me->rank() == 1) raise(SIGKILL);
  if (how == "lacks_memory" && me->rank() == 1) lacks_memory = true;
  tierlib::Status status;
  if (how == "calls_on_a_thread") {
    std::thread([&] { status = me->Barrier(); }).join();
  } else if (how == "gives_up_on_a_thread" && me->rank() == 1) {
    std::thread([&] { me->Abort("it is tired"); }).join();
  } else {
    status = me->Barrier();
  }
  std::fprintf(stderr, "learner %d is told: %s\n", me->rank(), std::string(status.message()).c_str());
  MPI_Abort(MPI_COMM_WORLD, 4);
  return 4;
}
