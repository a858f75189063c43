// The communicator over NCCL, on whatever device: tierlib/comm/nccl_group.h says how it behaves.
#ifndef TIERLIB_SRC_COMM_NCCL_COMMUNICATOR_H_
#define TIERLIB_SRC_COMM_NCCL_COMMUNICATOR_H_

#include <memory>

#include "comm/nccl_device.h"
#include "tierlib/comm/nccl_group.h"

namespace tierlib::comm {

// As MakeNcclCommunicator, whose `device` and `stream` are `device`'s here.
StatusOr<std::unique_ptr<Communicator>> MakeNcclCommunicatorOn(std::unique_ptr<NcclDevice> device,
                                                               const NcclOptions& options);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_NCCL_COMMUNICATOR_H_
