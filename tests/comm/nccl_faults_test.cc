// NCCL that is missing, fails or hangs, and learners that do not come, go or are strangers: a status by name on all.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "base/clock.h"
#include "comm/learners.h"
#include "comm/nccl_communicator.h"
#include "comm/nccl_learners.h"
#include "comm/star_meeting.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kShortNs = 400'000'000;
constexpr std::int64_t kSoonNs = 20'000'000'000;

bool Names(const Status& status, const std::string& words) {
  return std::string(status.message()).find(words) != std::string::npos;
}

Status JoinAlone(const NcclOptions& options) { return MakeNcclCommunicatorOn(MakeHostNcclDevice(), options).status(); }

class Nccl : public testing::Test {
 protected:
  void Fail(int rank, NcclFault fault) {
    Control().faulty_rank = rank;
    Control().fault = fault;
  }
  void TearDown() override {
    Fail(-1, NcclFault::kNone);
    Control().version = 22800;
    EXPECT_EQ(Control().live, 0) << "a communicator of NCCL's was not given up";
  }
};

TEST_F(Nccl, AMissingLibraryIsNamed) {
  NcclOptions options = FakeNcclOptions(0, 1, kLongNs);
  options.library = "libnccl_that_is_not_here.so.2";
  const Status status = JoinAlone(options);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_TRUE(Names(status, "libnccl_that_is_not_here.so.2")) << status;
}

TEST_F(Nccl, AMissingFunctionIsNamed) {
  NcclOptions options = FakeNcclOptions(0, 1, kLongNs);
  options.library = TIERLIB_FAKE_NCCL_WITHOUT_ABORT;
  const Status status = JoinAlone(options);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_TRUE(Names(status, "has no function ncclCommAbort: it takes NCCL 2.14.0 or newer")) << status;
}

TEST_F(Nccl, AnOldLibraryIsNamed) {
  Control().version = 21204;
  const Status status = JoinAlone(FakeNcclOptions(0, 1, kLongNs));
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_TRUE(Names(status, "NCCL 2.12.4 is too old: it takes 2.14.0")) << status;
}

TEST_F(Nccl, WithoutADeviceThereIsNone) {
  NcclOptions options;
  options.device = 1000;
  const Status status = MakeNcclCommunicator(options).status();
  EXPECT_TRUE(status.code() == StatusCode::kUnimplemented || Names(status, "CUDA device 1000")) << status;
}

TEST_F(Nccl, AGroupOfOneTakesNoAddress) {
  const auto group = JoinAll(1, kLongNs);
  ASSERT_TRUE(group[0].ok()) << group[0].status();
  float value = 3;
  EXPECT_TRUE((*group[0])->AllReduce(&value, &value, 1, DType::kF32, Reduction::kSum).ok());
  EXPECT_EQ(value, 3);
}

TEST_F(Nccl, OneThatCannotJoinIsNamedToAll) {
  Fail(1, NcclFault::kRefusesJoin);
  for (const auto& one : JoinAll(3, kLongNs)) {
    EXPECT_EQ(one.status().code(), StatusCode::kUnavailable) << one.status();
    EXPECT_TRUE(Names(one.status(), "learner 1: collective 0 (join): NCCL: ncclCommInitRankConfig: unhandled system"))
        << one.status();
  }
}

// Whichever learner it is, learner 0 included.
TEST_F(Nccl, WorkThatFailsOnOneFailsOnAllByItsName) {
  struct Case {
    NcclFault fault;
    StatusCode code;
    const char* words;
  };
  const Case cases[] = {
      {NcclFault::kHangs, StatusCode::kDeadlineExceeded, "NCCL did not end it within 400 ms"},
      {NcclFault::kAsyncError, StatusCode::kUnavailable, "NCCL: asynchronous error: remote process exited"},
      {NcclFault::kRefusesWork, StatusCode::kUnavailable, "NCCL: ncclGroupEnd: unhandled system error"},
  };
  for (const Case& c : cases) {
    for (const int faulty : {0, 2}) {
      Fail(-1, NcclFault::kNone);
      const auto statuses = RunLearners<Status>(3, kShortNs, [&](std::unique_ptr<Communicator>& me) {
        EXPECT_TRUE(me->Barrier().ok());
        if (me->rank() == 0) Fail(faulty, c.fault);
        EXPECT_TRUE(me->Barrier().ok());
        const std::int64_t begin_ns = NowNs();
        std::vector<std::int64_t> values(1000, me->rank());
        const Status status = me->AllReduce(values.data(), values.data(), values.size(), DType::kI64, Reduction::kSum);
        EXPECT_LT(NowNs() - begin_ns, kSoonNs);
        EXPECT_EQ(me->Barrier(), status) << "it stays broken";
        return status;
      });
      for (const Status& status : statuses) {
        EXPECT_EQ(status, statuses[0]);
        EXPECT_EQ(status.code(), c.code) << status;
        EXPECT_TRUE(Names(status, c.words)) << status;
        EXPECT_TRUE(Names(status, "collective 2 (all_reduce of 1000 i64 (sum))")) << status;
        // Where one hangs all do, and the first of them is named.
        if (c.fault != NcclFault::kHangs) {
          EXPECT_TRUE(Names(status, "learner " + std::to_string(faulty) + ":")) << status;
        }
      }
    }
  }
}

// More than a piece of a share, in groups whose pieces are of several sizes.
TEST_F(Nccl, ReducesInPieces) {
  constexpr std::uint64_t kCount = 2'500'001;  // of 8 bytes: shares of 10 MB
  const auto run = [](std::unique_ptr<Communicator>& me) {
    std::vector<std::int64_t> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) values[i] = static_cast<std::int64_t>(i) + me->rank();
    EXPECT_TRUE(me->AllReduce(values.data(), values.data(), kCount, DType::kI64, Reduction::kSum).ok());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kCount; ++i) wrong += values[i] == static_cast<std::int64_t>(2 * i + 1) ? 0 : 1;
    return wrong;
  };
  for (const std::size_t wrong : RunLearners<std::size_t>(2, kLongNs, run)) EXPECT_EQ(wrong, 0u);
}

TEST_F(Nccl, WhoDoesNotJoinIsNamed) {
  const std::string address = FreeAddress();
  std::vector<Status> statuses(2);
  std::vector<std::thread> threads;
  for (const int rank : {0, 2}) {
    threads.emplace_back([&, rank] {
      NcclOptions options = FakeNcclOptions(rank, 3, kLongNs);
      options.join_deadline_ns = kShortNs;
      options.address = address;
      statuses[static_cast<std::size_t>(rank / 2)] = JoinAlone(options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(statuses[0].code(), StatusCode::kDeadlineExceeded) << statuses[0];
  EXPECT_TRUE(Names(statuses[0], "joining: learner 1 did not come within")) << statuses[0];
  EXPECT_TRUE(Names(statuses[1], "joining: learner 0")) << statuses[1];
}

TEST_F(Nccl, ALearnerOfAnotherGroupIsNamed) {
  const std::string address = FreeAddress();
  std::vector<Status> statuses(2);
  std::vector<std::thread> threads;
  for (const int rank : {0, 1}) {
    threads.emplace_back([&, rank] {
      NcclOptions options = FakeNcclOptions(rank, 2 + rank, kLongNs);
      options.address = address;
      statuses[static_cast<std::size_t>(rank)] = JoinAlone(options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Names(statuses[0], "learner 1 is of a group of 3, not of 2")) << statuses[0];
  EXPECT_FALSE(statuses[1].ok());
}

TEST_F(Nccl, AddressesAndRanksThatCannotBeAreNamed) {
  NcclOptions options = FakeNcclOptions(3, 3, kShortNs);
  options.address = "127.0.0.1:1";
  EXPECT_TRUE(Names(JoinAlone(options), "learner 3 of 3: it is one of 0 to size - 1")) << JoinAlone(options);
  options.rank = 0;
  for (const char* address : {"", "somewhere", "somewhere:"}) {
    options.address = address;
    const Status status = JoinAlone(options);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(Names(status, "it must be host:port")) << status;
  }
  options.address = "127.0.0.1:no_port";
  EXPECT_EQ(JoinAlone(options).code(), StatusCode::kInvalidArgument);
}

// A stranger that says `words` and goes. False where nobody listens.
bool ConnectTo(const std::string& address, const std::string& words) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  const std::size_t colon = address.find(':');
  to.sin_addr.s_addr = ::inet_addr(address.substr(0, colon).c_str());
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const bool there = ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  if (there) (void)::send(socket, words.data(), words.size(), MSG_NOSIGNAL);
  ::close(socket);
  return there;
}

// As a port scanner is, or a program that has the wrong port.
TEST_F(Nccl, StrangersAreLetGo) {
  const std::string address = FreeAddress();
  std::vector<std::thread> threads;
  for (const int rank : {0, 1}) {
    threads.emplace_back([&, rank] {
      if (rank == 1) {
        while (!ConnectTo(address, "GET / HTTP/1.1\r\n\r\n")) ::usleep(1000);
      }
      NcclOptions options = FakeNcclOptions(rank, 2, kLongNs);
      options.address = address;
      const auto made = MakeNcclCommunicatorOn(MakeHostNcclDevice(), options);
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_TRUE((*made)->Barrier().ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A machine's own name may stand for one of its addresses only.
TEST(SocketStar, LearnersComeByAnyAddressOfTheMachine) {
  char name[256] = {};
  ASSERT_EQ(::gethostname(name, sizeof name - 1), 0);
  const std::string loopback = FreeAddress();
  const std::string port = loopback.substr(loopback.find(':'));
  constexpr std::uint64_t kJoinNs = 10'000'000'000;
  Status first;
  std::thread listener([&] { first = SocketStar::Connect(0, 2, name + port, DeadlineIn(kJoinNs)).status(); });
  const Status second = SocketStar::Connect(1, 2, loopback, DeadlineIn(kJoinNs)).status();
  listener.join();
  if (first.code() == StatusCode::kInvalidArgument) GTEST_SKIP() << first;
  EXPECT_TRUE(first.ok()) << first;
  EXPECT_TRUE(second.ok()) << second;
}

// A process that ends closes its socket: `dead` leaves without a word.
std::vector<Status> MeetWithout(int dead, bool after_meeting) {
  const std::string address = FreeAddress();
  std::vector<Status> statuses(3);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      StatusOr<std::unique_ptr<SocketStar>> star = SocketStar::Connect(rank, 3, address, DeadlineIn(kLongNs));
      ASSERT_TRUE(star.ok()) << star.status();
      StarMeeting meeting(*std::move(star), kLongNs);
      EXPECT_TRUE(meeting.Meet({.name = "barrier"}).ok());
      EXPECT_TRUE(!after_meeting || meeting.Meet({.name = "all_gather", .count = 5}).ok());
      Status& status = statuses[static_cast<std::size_t>(rank)];
      if (rank == dead) return;
      if (after_meeting) {
        while (!meeting.IsInVain()) meeting.Wait(NowNs() + 1'000'000);  // as work that hangs
        status = meeting.Confirm(UnavailableError("another learner has failed or is gone"), /*in_vain=*/true);
      } else {
        status = meeting.Meet({.name = "barrier"});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

TEST(StarMeeting, AProcessThatEndsIsNamedAtOnce) {
  for (const bool after_meeting : {false, true}) {
    for (const int dead : {0, 1, 2}) {
      const std::int64_t begin_ns = NowNs();
      const std::vector<Status> statuses = MeetWithout(dead, after_meeting);
      EXPECT_LT(NowNs() - begin_ns, kSoonNs);
      for (int rank = 0; rank < 3; ++rank) {
        if (rank == dead) continue;
        const Status& status = statuses[static_cast<std::size_t>(rank)];
        EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
        EXPECT_TRUE(Names(status, std::string("collective 1 (") + (after_meeting ? "all_gather of 5 u8" : "barrier") +
                                      "): learner " + std::to_string(dead) + " is gone: its process has ended"))
            << status;
      }
    }
  }
}

// A learner that lost patience just when all had come says so too late; what it says next is heard all the same.
TEST(StarMeeting, AFailureIsHeardBehindStaleImpatience) {
  constexpr std::uint32_t kCallKind = 1;
  constexpr std::uint32_t kImpatienceKind = 3;
  const std::string address = FreeAddress();
  std::unique_ptr<SocketStar> other;
  std::thread joins([&] { other = SocketStar::Connect(1, 2, address, DeadlineIn(kLongNs)).value(); });
  StarMeeting meeting(SocketStar::Connect(0, 2, address, DeadlineIn(kLongNs)).value(), kLongNs);
  joins.join();
  const Call barrier{.name = "barrier"};
  other->Send(0, kCallKind, EncodeCall(barrier, "", 2));
  EXPECT_TRUE(meeting.Meet(barrier).ok());
  other->Send(0, kImpatienceKind, std::vector<std::byte>(sizeof(std::uint64_t)));  // with meeting 0
  Call failed{.name = "done"};
  failed.refusal = InternalError("its work failed");
  other->Send(0, kCallKind, EncodeCall(failed, "", 2));
  const std::int64_t until_ns = NowNs() + 10'000'000'000;
  while (!meeting.IsInVain() && NowNs() < until_ns) meeting.Wait(NowNs() + 1'000'000);
  EXPECT_TRUE(meeting.IsInVain());
  const Status status = meeting.Confirm(UnavailableError("another learner has failed"), /*in_vain=*/true);
  EXPECT_EQ(status.code(), StatusCode::kInternal) << status;
}

TEST(NcclEnvironment, IsReadAndWhatIsWrongIsNamed) {
  const auto set = [](const char* rank) {
    ::setenv("RANK", rank, 1);
    ::setenv("WORLD_SIZE", "4", 1);
    ::setenv("LOCAL_RANK", "1", 1);
    ::setenv("MASTER_ADDR", "node-7", 1);
    ::setenv("MASTER_PORT", "29500", 1);
  };
  set("3");
  const NcclOptions options = NcclOptionsFromEnvironment().value();
  EXPECT_EQ(options.rank, 3);
  EXPECT_EQ(options.size, 4);
  EXPECT_EQ(options.device, 1);
  EXPECT_EQ(options.address, "node-7:29500");
  for (const char* rank : {"three", "-1", "3x", "99999999999"}) {
    set(rank);
    const Status status = NcclOptionsFromEnvironment().status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(Names(status, "RANK is \"" + std::string(rank) + "\"")) << status;
  }
  ::unsetenv("MASTER_ADDR");
  set("0");
  ::unsetenv("MASTER_ADDR");
  EXPECT_TRUE(Names(NcclOptionsFromEnvironment().status(), "MASTER_ADDR is not set"));
}

}  // namespace
}  // namespace tierlib::comm
