// A disk that has no room for the trace: the program runs without one, and says so once. What is wrong with the path is
// an error of Runtime::Create, for whoever chose the path mends it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "io/temporary_folder.h"
#include "runtime/child.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

// A value that goes to the host and comes back; "" where that works.
std::string SaveAndLoad(const std::string& trace) {
  Options options;
  options.trace = trace;
  const StatusOr<std::unique_ptr<Runtime>> created = Runtime::Create(std::move(options));
  if (!created.ok()) return std::string(created.status().message());
  Runtime& runtime = **created;
  const Stream stream = runtime.CreateStream(0, "compute").value();
  const Allocation x = runtime.Allocate(4096, Holds::kTransient, stream, "x").value();
  {
    const View view{x.storage, Layout::Contiguous(DType::kF32, {1024})};
    const StatusOr<Saved> saved = runtime.Pack(view, nullptr, stream, "saved");
    if (!saved.ok()) return std::string(saved.status().message());
    if (const Status drained = runtime.Drain(); !drained.ok()) return std::string(drained.message());
    if (const auto loaded = runtime.Unpack(*saved, stream); !loaded.ok()) return std::string(loaded.status().message());
  }
  return std::string(runtime.Retire(x.storage, stream).message());
}

void ExpectOneMessage(const std::string& said, const std::string& path, const std::string& why) {
  EXPECT_NE(said.find(path + ": " + why), std::string::npos) << said;
  EXPECT_NE(said.find("recording stops, the program goes on"), std::string::npos) << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
}

TEST(TraceDisk, FullFromTheStartIsSaidOnceAndTheProgramRuns) {
  TemporaryFolder folder;
  testing::internal::CaptureStderr();
  {
    const ScopedFailpoint full("trace.reserve", {.persistent = true});
    EXPECT_EQ(SaveAndLoad(folder / "run.tlt"), "");
    EXPECT_EQ(full.calls(), 1);
  }
  ExpectOneMessage(testing::internal::GetCapturedStderr(), folder / "run.tlt", "No space left on device");
  EXPECT_TRUE(folder.names().empty()) << "no file is left behind";
}

// What a file system that takes no byte more says, as a limit of the process makes it.
TEST(TraceDisk, ThatTakesNoHeaderIsSaidOnceAndTheProgramRuns) {
  if (!kMayFork) GTEST_SKIP() << kNoForkHere;
  TemporaryFolder folder;
  TemporaryFolder log;
  const std::string said = InChild([&]() -> std::string {
    const rlimit limit = {1000, 1000};
    const int errors = open((log / "errors").c_str(), O_WRONLY | O_CREAT, 0600);
    if (dup2(errors, STDERR_FILENO) < 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit";
    return SaveAndLoad(folder / "run.tlt");
  });
  EXPECT_EQ(said, "");
  ExpectOneMessage(ReadWhole(log / "errors"), folder / "run.tlt", "File too large");
  EXPECT_TRUE(folder.names().empty());
}

// Where the header fits and nothing more, the recorder itself stops.
TEST(TraceDisk, ThatFillsAfterTheHeaderIsSaidOnceAndTheProgramRuns) {
  TemporaryFolder folder;
  testing::internal::CaptureStderr();
  {
    const ScopedFailpoint full("trace.reserve", {.call = 2, .persistent = true});
    EXPECT_EQ(SaveAndLoad(folder / "run.tlt"), "");
  }
  ExpectOneMessage(testing::internal::GetCapturedStderr(), folder / "run.tlt", "cannot grow beyond");
  EXPECT_TRUE(std::filesystem::exists(folder / "run.tlt"));
}

TEST(TraceDisk, WhatIsWrongWithThePathStaysAnError) {
  TemporaryFolder folder;
  testing::internal::CaptureStderr();
  const auto code = [](const std::string& path) {
    Options options;
    options.trace = path;
    return Runtime::Create(std::move(options)).status().code();
  };
  EXPECT_EQ(code(folder / "no/run.tlt"), StatusCode::kNotFound);
  EXPECT_EQ(code(folder / "%x"), StatusCode::kInvalidArgument);
  WriteWhole(folder / "letter", "dear reader");
  EXPECT_EQ(code(folder / "letter"), StatusCode::kAlreadyExists);
  std::filesystem::create_symlink(folder / "nowhere", folder / "link");
  EXPECT_EQ(code(folder / "link"), StatusCode::kAlreadyExists);
  Options options;
  options.trace = folder / "run.tlt";
  const auto first = Runtime::Create(options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(code(folder / "run.tlt"), StatusCode::kAlreadyExists);
  if (geteuid() != 0) {  // who may write everywhere
    std::filesystem::create_directory(folder / "closed");
    std::filesystem::permissions(folder / "closed", std::filesystem::perms::owner_read);
    EXPECT_EQ(code(folder / "closed/run.tlt"), StatusCode::kPermissionDenied);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tierlib
