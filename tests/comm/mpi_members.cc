// The suite over MPI: each process of mpirun runs it, as the learner that it is.
#include <mpi.h>

#include "base/clock.h"
#include "comm/learners.h"
#include "tierlib/comm/mpi_communicator.h"

namespace tierlib::comm {

std::vector<std::unique_ptr<Communicator>> MembersHere(int learners, std::uint64_t deadline_ns) {
  std::vector<std::unique_ptr<Communicator>> members;
  int processes = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &processes);
  if (learners > processes) return members;
  StatusOr<std::unique_ptr<Communicator>> mine = MakeMpiCommunicator({deadline_ns, learners});
  EXPECT_TRUE(mine.ok()) << mine.status();
  if (mine.ok() && *mine != nullptr) members.push_back(*std::move(mine));
  return members;
}

bool ShareMemory() { return false; }

namespace {

TEST(MpiGroup, RefusesMoreLearnersThanProcesses) {
  EXPECT_EQ(MakeMpiCommunicator({kLongNs, 1000}).status().code(), StatusCode::kInvalidArgument);
}

// A kernel calls on its device's thread.
TEST(MpiGroup, WorksOnAnyThreadInTurn) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Query_thread(&provided);
  if (provided < MPI_THREAD_SERIALIZED) GTEST_SKIP() << "this MPI is for one thread";
  RunLearners<int>(2, kLongNs, [](std::unique_ptr<Communicator>& me) {
    const auto mine = static_cast<std::uint8_t>(me->rank());
    std::vector<std::uint8_t> whole(2, 9);
    std::thread([&] {
      const Status status = me->AllGather(&mine, {1, 1}, whole.data(), me->NextTag());
      EXPECT_TRUE(status.ok()) << status;
    }).join();
    EXPECT_EQ(whole, (std::vector<std::uint8_t>{0, 1}));
    EXPECT_TRUE(me->Barrier().ok());
    return 0;
  });
}

// MPI started as MPI_THREAD_SERIALIZED is for one thread at a time: Abort may not begin before learner 0 has come.
TEST(MpiGroup, GivingUpWaitsForTheCallUnderWay) {
  RunLearners<int>(2, kLongNs, [](std::unique_ptr<Communicator>& me) {
    std::int64_t first_comes_ns = NowNs() + 1'000'000'000;  // by the clock of the machine that they share
    EXPECT_TRUE(me->Broadcast(&first_comes_ns, sizeof first_comes_ns, 0).ok());
    if (me->rank() == 0) {
      while (NowNs() < first_comes_ns) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      EXPECT_TRUE(me->Barrier().ok());
      EXPECT_EQ(me->Barrier().code(), StatusCode::kUnavailable);
      return 0;
    }
    std::thread kernel([&] { EXPECT_TRUE(me->Barrier().ok()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    me->Abort("the device is full");
    EXPECT_GE(NowNs(), first_comes_ns);
    kernel.join();
    return 0;
  });
}

// More than a piece of a share.
TEST(MpiGroup, ReducesInPieces) {
  constexpr std::uint64_t kCount = 5'000'001;
  const auto run = [](std::unique_ptr<Communicator>& me) {
    std::vector<std::int32_t> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) values[i] = static_cast<std::int32_t>(i) + me->rank();
    EXPECT_TRUE(me->AllReduce(values.data(), values.data(), kCount, DType::kI32, Reduction::kSum).ok());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kCount; ++i) wrong += values[i] == static_cast<std::int32_t>(2 * i + 1) ? 0 : 1;
    return wrong;
  };
  for (const std::size_t wrong : RunLearners<std::size_t>(2, kLongNs, run)) EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace tierlib::comm

int main(int argc, char** argv) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  MPI_Finalize();
  return failed;
}
