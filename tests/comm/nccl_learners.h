// Learners over the fake NCCL: threads of this process that meet over TCP, with host memory as a device's.
#ifndef TIERLIB_TESTS_COMM_NCCL_LEARNERS_H_
#define TIERLIB_TESTS_COMM_NCCL_LEARNERS_H_

#include <memory>
#include <string>
#include <vector>

#include "comm/fake_nccl.h"
#include "comm/nccl_device.h"
#include "tierlib/comm/nccl_group.h"

namespace tierlib::comm {

std::unique_ptr<NcclDevice> MakeHostNcclDevice();
// Options for learner `rank`, without an address.
NcclOptions FakeNcclOptions(int rank, int size, std::uint64_t deadline_ns);
// A port of this machine that nobody listens at, as an address.
std::string FreeAddress();
// What each learner's joining gave, by rank.
std::vector<StatusOr<std::unique_ptr<Communicator>>> JoinAll(int learners, std::uint64_t deadline_ns);
FakeNcclControl& Control();

}  // namespace tierlib::comm

#endif  // TIERLIB_TESTS_COMM_NCCL_LEARNERS_H_
