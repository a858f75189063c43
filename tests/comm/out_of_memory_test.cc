// A learner that runs out of memory in a collective: a status on every learner, whichever allocation fails.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "comm/learners.h"

namespace tierlib::comm {
namespace {

// How many allocations of this thread still succeed; negative: all.
thread_local int allocations_left = -1;

void* Allocate(std::size_t bytes) {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

}  // namespace
}  // namespace tierlib::comm

void* operator new(std::size_t bytes) {
  void* const block = tierlib::comm::Allocate(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace tierlib::comm {
namespace {

constexpr int kLearners = 3, kPoor = 1;
const std::vector<std::uint64_t> kOnes(kLearners, 1);

using Collective = Status (*)(Communicator& me);
constexpr Collective kCollectives[] = {
    [](Communicator& me) {
      float value = 1;
      return me.AllReduce(&value, &value, 1, DType::kF32, Reduction::kSum);
    },
    [](Communicator& me) {
      float value = 1;
      return me.AllReduce(&value, &value, 1, DType::kBF16, Reduction::kSum);  // refused, which takes a message
    },
    [](Communicator& me) {
      float part = 0, whole[kLearners] = {};
      return me.ReduceScatter(whole, kOnes, DType::kF32, Reduction::kSum, &part);
    },
    [](Communicator& me) {
      std::uint8_t part = 0, whole[kLearners] = {};
      return me.AllGather(&part, kOnes, whole);
    },
    // Calls that differ: whoever comes last makes the message.
    [](Communicator& me) {
      float value = 0;
      return me.rank() == 0 ? me.Broadcast(&value, 4, 2) : me.Barrier();
    },
    [](Communicator& me) {
      if (me.rank() == kPoor) me.Abort("a reason that is longer than a string without memory holds");
      return me.Barrier();
    },
};

// One learner can make `allocations` allocations only. Everybody's status of the collective.
std::vector<Status> RunPoor(Collective collective, int allocations) {
  return RunLearners<Status>(kLearners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
    if (me->rank() == kPoor) allocations_left = allocations;
    Status status = collective(*me);
    allocations_left = -1;
    return status;
  });
}

TEST(OutOfMemory, ACollectiveSucceedsOnAllOrOnNone) {
  for (const Collective collective : kCollectives) {
    const std::vector<Status> usual = RunPoor(collective, -1);
    for (int allocations = 0; allocations < 12; ++allocations) {
      const std::vector<Status> statuses = RunPoor(collective, allocations);
      for (const Status& status : statuses) {
        EXPECT_EQ(status.ok(), statuses[0].ok()) << allocations << ": " << status << ", " << statuses[0];
        EXPECT_NE(status.code(), StatusCode::kDeadlineExceeded) << allocations << ": " << status;
      }
      if (usual[0].ok()) continue;
      for (const Status& status : statuses) EXPECT_FALSE(status.ok()) << allocations;
    }
  }
}

TEST(OutOfMemory, TheOthersAreTold) {
  const std::vector<Status> statuses = RunPoor(kCollectives[0], 0);
  EXPECT_EQ(statuses[kPoor].code(), StatusCode::kResourceExhausted);
  for (const int rank : {0, 2}) {
    const Status& status = statuses[static_cast<std::size_t>(rank)];
    EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
  }
}

}  // namespace
}  // namespace tierlib::comm
