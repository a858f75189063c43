// Programs that end while a runtime, its handles or its copies are still there. Each case is a process of its own,
// which ends in time, in the way that it meant to.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "runtime/child.h"
#include "runtime/program.h"
#include "trace/reader.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = MiB(4);

// A copy of kSize takes 200 ms.
Options SlowOptions() {
  Options options;
  options.devices[0].capacity = MiB(32);
  options.devices[0].emulated.copy_out_bytes_per_s = 20.0 * MiB(1);
  options.devices[0].emulated.kernel_threads = 2;
  options.pinned_limit = MiB(64);
  return options;
}

std::unique_ptr<Runtime> MakeRuntime(const Options& options) { return Runtime::Create(options).value(); }

// A value of which the copy out has not ended.
Saved PackSlowly(Runtime& runtime) {
  const Stream stream = runtime.CreateStream(0, "compute").value();
  const Allocation x = runtime.Allocate(kSize, Holds::kTransient, stream, "x").value();
  Saved saved = runtime.Pack({x.storage, WholeOf(kSize)}, nullptr, stream, "x").value();
  (void)runtime.Retire(x.storage, stream);
  return saved;
}

class ExitDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

// What every case begins with: one that hangs is ended, and so fails.
void EndInTime() { alarm(60); }

TEST_F(ExitDeathTest, ARuntimeInStaticStorageIsDestroyedAfterMain) {
  const auto body = [] {
    EndInTime();
    static std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
    static const Saved saved = PackSlowly(*runtime);
    std::exit(7);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

TEST_F(ExitDeathTest, HandlesInStaticStorageOutliveTheRuntime) {
  const auto body = [] {
    EndInTime();
    static Saved saved;
    static Loaded loaded;
    static std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
    const Stream stream = runtime->CreateStream(0, "other").value();
    saved = PackSlowly(*runtime);
    loaded = runtime->Unpack(saved, stream).value();
    std::exit(7);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

void LeaveWith(void (*leave)(int)) {
  EndInTime();
  static std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
  static const Saved saved = PackSlowly(*runtime);
  leave(7);
}

TEST_F(ExitDeathTest, QuickExitAndUnderscoreExitLeaveWorkInFlight) {
  EXPECT_EXIT(LeaveWith([](int status) { std::quick_exit(status); }), testing::ExitedWithCode(7), "");
  EXPECT_EXIT(LeaveWith([](int status) { _exit(status); }), testing::ExitedWithCode(7), "");
}

TEST_F(ExitDeathTest, AnotherThreadMayExitWhileACopyIsInFlight) {
  const auto body = [] {
    EndInTime();
    static std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
    static const Saved saved = PackSlowly(*runtime);
    std::thread([] { std::exit(7); }).join();
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

// The runtime is on the stack of a thread that goes on: nothing destroys it, and its threads run until the end.
TEST_F(ExitDeathTest, AnotherThreadMayExitWhileARuntimeIsInUse) {
  const auto body = [] {
    EndInTime();
    const std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
    const Stream stream = runtime->CreateStream(0, "other").value();
    std::thread leaves([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      std::exit(7);
    });
    for (;;) {
      const Saved saved = PackSlowly(*runtime);
      (void)runtime->Unpack(saved, stream);
      (void)runtime->Synchronize(stream);
    }
    leaves.join();
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

// Pinned memory grows ahead on a thread, which asks the machine for its nodes.
TEST_F(ExitDeathTest, AProgramMayExitWhileMemoryGrows) {
  const auto body = [] {
    EndInTime();
    Options options = SlowOptions();
    options.devices[0].emulated.copy_out_bytes_per_s = 0;
    auto* const runtime = MakeRuntime(options).release();
    new Saved(PackSlowly(*runtime));
    std::exit(7);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

TEST_F(ExitDeathTest, ATraceIsCompleteWhereAStaticRuntimeEndedIt) {
  constexpr const char* kPath = "TIERLIB_EXIT_TEST_TRACE";  // for the case's process, which begins this test anew
  std::optional<TemporaryFolder> folder;
  if (std::getenv(kPath) == nullptr) {
    folder.emplace();
    setenv(kPath, (*folder / "exit.tlt").c_str(), 1);
  }
  const auto body = [] {
    EndInTime();
    Options options = SlowOptions();
    options.trace = std::getenv(kPath);
    static std::unique_ptr<Runtime> runtime = MakeRuntime(options);
    static const Saved saved = PackSlowly(*runtime);
    std::exit(7);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
  const auto read = trace::ReadTraceFile(std::getenv(kPath));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->closed);
  for (const trace::Problem& problem : read->problems) ADD_FAILURE() << problem.what;
  EXPECT_TRUE(std::any_of(read->records.begin(), read->records.end(),
                          [](const trace::Record& one) { return one.event == trace::Event::kPack; }));
  unsetenv(kPath);
}

TEST_F(ExitDeathTest, AForkedChildMayExitWithItsParentsRuntimeInStaticStorage) {
  if (!kMayFork) GTEST_SKIP() << kNoForkHere;
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the leak check at a forked child's exit takes what its parent's threads hold for lost, or hangs";
#endif
  const auto body = [] {
    EndInTime();
    static Saved outlives;
    static std::unique_ptr<Runtime> runtime = MakeRuntime(SlowOptions());
    static const Saved saved = PackSlowly(*runtime);
    outlives = saved;
    const pid_t child = fork();
    if (child == 0) {
      EndInTime();
      std::exit(5);
    }
    int ended = 0;
    waitpid(child, &ended, 0);
    std::exit(WIFEXITED(ended) && WEXITSTATUS(ended) == 5 ? 7 : 1);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace tierlib
