// The suite over the thread group.
#include "comm/learners.h"
#include "tierlib/comm/thread_group.h"

namespace tierlib::comm {

std::vector<std::unique_ptr<Communicator>> MembersHere(int learners, std::uint64_t deadline_ns) {
  return MakeThreadGroup(learners, {deadline_ns}).value();
}

bool ShareMemory() { return true; }

}  // namespace tierlib::comm
