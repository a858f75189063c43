#include "allocator/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/fake_device.h"
#include "base/failpoint.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

class FileSource : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "file_source_test." + std::to_string(getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::size_t Files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::string folder_;
};

// Bytes on the disk of the files without a name that this process has open in `folder`.
std::size_t BytesOnDisk(const std::string& folder) {
  std::size_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    struct stat file {};
    if (target.rfind(folder, 0) != 0 || stat(entry.path().c_str(), &file) != 0) continue;
    EXPECT_EQ(file.st_nlink, 0u) << target;
    EXPECT_EQ(file.st_mode & 0777u, 0600u) << target;
    bytes += static_cast<std::size_t>(file.st_blocks) * 512;
  }
  return bytes;
}

TEST_F(FileSource, HoldsBytesInAFileWithoutAName) {
  for (const bool nameless : {true, false}) {
    const ScopedFailpoint old_system("file.nameless", {.call = nameless ? 1000 : 1, .persistent = true});
    auto source = MakeFileSource(folder_, MiB(8)).value();
    EXPECT_EQ(old_system.calls(), 1);
    EXPECT_EQ(Files(), 0u);
    EXPECT_EQ(source->tier(), Tier::kFile);
    ASSERT_TRUE(source->Grow(MiB(4)).ok());
    ASSERT_TRUE(source->Grow(MiB(4)).ok());
    EXPECT_EQ(source->Grow(PageBytes()).code(), StatusCode::kResourceExhausted);
    for (std::size_t i = 0; i < MiB(8); i += 997) source->base()[i] = static_cast<std::byte>(i);
    for (std::size_t i = 0; i < MiB(8); i += 997) ASSERT_EQ(source->base()[i], static_cast<std::byte>(i));
    EXPECT_GE(BytesOnDisk(folder_), MiB(8));
    EXPECT_EQ(source->Shrink(MiB(5)).value(), MiB(4)) << "whole pieces";
    EXPECT_LT(BytesOnDisk(folder_), MiB(5));
    ASSERT_TRUE(source->Grow(MiB(2)).ok());
    EXPECT_EQ(source->base()[MiB(4) + 997 * 3], std::byte{0}) << "fresh";
    EXPECT_EQ(source->base()[997 * 3], static_cast<std::byte>(997 * 3)) << "what stayed, stayed";
    EXPECT_EQ(Files(), 0u);
    source.reset();
    EXPECT_EQ(BytesOnDisk(folder_), 0u);
  }
}

TEST_F(FileSource, GivesPiecesBetweenOthersBackToTheDisk) {
  FakeDevice device;
  BlockPool::Options options;
  options.source = MakeFileSource(folder_, MiB(16)).value();
  options.device = &device;
  BlockPool pool(std::move(options));
  const Stream stream{0, 1};
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(pool.Allocate(MiB(4), stream).value());
    std::memset(blocks.back(), i + 1, MiB(4));
  }
  pool.Free(blocks[1], {stream});
  pool.Free(blocks[2], {stream});
  const std::size_t full = BytesOnDisk(folder_);
  EXPECT_EQ(pool.Trim(), MiB(8));
  EXPECT_EQ(pool.statistics().reserved, MiB(8));
  EXPECT_LE(BytesOnDisk(folder_), full - MiB(8));
  {
    const ScopedFailpoint full_disk("file.reserve", {});
    EXPECT_EQ(pool.Allocate(MiB(8), stream).status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(full_disk.calls(), 1);
  }
  pool.CheckInvariants();
  EXPECT_EQ(pool.Allocate(MiB(8), stream).value(), blocks[1]);
  std::memset(blocks[1], 9, MiB(8));
  EXPECT_EQ(static_cast<const char*>(blocks[0])[MiB(4) - 1], 1);
  EXPECT_EQ(static_cast<const char*>(blocks[3])[0], 4);
  EXPECT_EQ(pool.statistics().reserved, MiB(16));
  for (const int i : {0, 1, 3}) pool.Free(blocks[i], {stream});
}

TEST_F(FileSource, AFullDiskIsAStatusAndLeavesWhatWasThere) {
  auto source = MakeFileSource(folder_, MiB(64)).value();
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  source->base()[MiB(2) - 1] = std::byte{7};
  const auto fails = [&] {
    EXPECT_EQ(source->Grow(MiB(4)).code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(source->grown(), MiB(2));
    EXPECT_LT(BytesOnDisk(folder_), MiB(3));
    EXPECT_EQ(source->base()[MiB(2) - 1], std::byte{7});
  };
  {
    const ScopedFailpoint full("file.reserve", {});
    fails();
  }
  rlimit before{};  // beyond it the system would end the program with a signal
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit lower{MiB(5), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &lower), 0);
  fails();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
}

TEST_F(FileSource, RefusesAFolderInWhichNoFileCanBeMade) {
  const Status missing = MakeFileSource(folder_ + "/none", MiB(1)).status();
  EXPECT_EQ(missing.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(missing.ToString(), HasSubstr("file_directory " + folder_ + "/none: no file can be made there: No such"));
  std::ofstream(folder_ + "/file") << "x";
  EXPECT_EQ(MakeFileSource(folder_ + "/file", MiB(1)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeFileSource("/proc", MiB(1)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeFileSource(folder_, ~std::uint64_t{0}).status().code(), StatusCode::kResourceExhausted);
  auto source = MakeFileSource(folder_, MiB(1)).value();
  EXPECT_EQ(source->Grow(0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(source->Grow(100).code(), StatusCode::kInvalidArgument);
}

TEST_F(FileSource, LeavesNothingBehindWhenTheProcessIsKilled) {
  for (const bool nameless : {true, false}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const ScopedFailpoint old_system("file.nameless", {.call = nameless ? 1000 : 1, .persistent = true});
      auto source = MakeFileSource(folder_, MiB(8));
      if (!source.ok() || !(*source)->Grow(MiB(2)).ok()) _exit(1);
      (*source)->base()[0] = std::byte{1};
      raise(SIGKILL);
      _exit(2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_EQ(Files(), 0u);
  }
}

}  // namespace
}  // namespace tierlib
