// NcclGroup: learners that are processes with a CUDA device each, over NVIDIA's NCCL.
//
// NCCL is looked up at run time (libnccl.so.2): the same program runs without it, and a group is Unimplemented there.
//
// Learners meet over TCP, at learner 0's address: which collective each comes to is compared there, so one that is
// late, gone or elsewhere is a status by its name on all, within the deadline, as for threads (communicator.h). Bytes
// then go over NCCL. Where that fails or hangs on one, every learner gives NCCL up (ncclCommAbort) and gets that
// learner's status. The connection is neither authenticated nor encrypted: use it on a network that you trust, as NCCL
// itself.
//
// Memory is the device's, or such that it can reach. Sums are made in the order of ranks, by kernels of tierlib's own:
// the same bits as by every other kind of group.
#ifndef TIERLIB_COMM_NCCL_GROUP_H_
#define TIERLIB_COMM_NCCL_GROUP_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"

namespace tierlib::comm {

struct NcclOptions {
  int rank = 0;
  int size = 1;
  std::string address;  // "host:port" at which learner 0 listens; not looked at in a group of one
  int device = 0;       // CUDA's number of this learner's device
  // A cudaStream_t: collectives read what was enqueued on it before, and have ended when they return. 0: a stream of
  // the group's own; then what collectives read must be there before.
  std::uintptr_t stream = 0;
  // How long the first learner of a collective waits for the last one to come, and how long bytes may take once all
  // have.
  std::uint64_t deadline_ns = 60'000'000'000;
  std::uint64_t join_deadline_ns = 300'000'000'000;  // to the group: processes start one after the other
  std::string library = "libnccl.so.2";
};

// From RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and LOCAL_RANK (the device), as torchrun and others set them.
// InvalidArgument names what is missing or no number.
StatusOr<NcclOptions> NcclOptionsFromEnvironment();

// This process's communicator; all `size` call it at the same time. Unimplemented without CUDA or NCCL, InvalidArgument
// for options that cannot be, DeadlineExceeded and Unavailable for learners that do not come, or go.
StatusOr<std::unique_ptr<Communicator>> MakeNcclCommunicator(const NcclOptions& options);

}  // namespace tierlib::comm

#endif  // TIERLIB_COMM_NCCL_GROUP_H_
