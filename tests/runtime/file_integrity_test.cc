// The file tier: what is in it when a value is asked for is what was written there, or the value is lost with a status.
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/numa_topology.h"
#include "base/failpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kValue = KiB(64);

struct SavedBytes {
  Saved saved;
  Bytes bytes;
};

class FileIntegrity : public testing::TestWithParam<OffloadMode> {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "file_integrity_test." + std::to_string(getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The first value lies in pinned memory, the second in pageable memory, the others in the file.
  Options SmallHost() const {
    Options options = DeterministicOptions(5, GetParam());
    options.pinned_limit = kValue;
    options.pageable_limit = kValue;
    options.file_directory = folder_;
    options.file_limit = MiB(16);
    return options;
  }

  std::vector<SavedBytes> PackFive(Program& p) {
    Random random(11);
    std::vector<SavedBytes> values;
    for (int i = 0; i < 5; ++i) {
      SavedBytes value;
      value.bytes = RandomBytes(random, kValue);
      const Allocation x = p.Make(value.bytes);
      value.saved = p.Pack(x.storage, WholeOf(kValue));
      p.Retire(x.storage);
      values.push_back(std::move(value));
    }
    EXPECT_EQ(p.runtime->statistics().fallbacks.to_file, 3u);
    return values;
  }

  // The descriptor of the nameless file in the folder.
  int Descriptor() const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (target.find(folder_) == 0) return std::atoi(entry.path().filename().c_str());
    }
    return -1;
  }

  std::string folder_;
};

char* OnHost(const Saved& saved) { return static_cast<char*>(saved.value()->snapshot->host[0].buffer->data()); }

// The file loses what it has of the value from byte `begin` on: zeros are there, as where nothing was written yet.
// False where its file system cannot do that.
bool DropFromFile(const Saved& saved, std::uint64_t begin) {
  char* const from = OnHost(saved) + begin;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(from) % PageBytes(), 0u);
  if (madvise(from, kValue - begin, MADV_REMOVE) == 0) return true;
  EXPECT_EQ(errno, EOPNOTSUPP);
  return false;
}
constexpr const char* kNoHoles = "the file system of the test's folder has no holes";

void ExpectLost(Program& p, const Saved& saved, const std::string& why) {
  for (int i = 0; i < 2; ++i) {  // for good
    const Status status = p.runtime->Unpack(saved, p.compute()).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("'saved'"));
    EXPECT_THAT(status.ToString(), HasSubstr(why));
  }
}

TEST_P(FileIntegrity, WhatIsSoundComesBack) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.runtime->Drain().ok());
  for (const SavedBytes& value : values) EXPECT_EQ(p.Unpack(value.saved), value.bytes);
  EXPECT_TRUE(p.runtime->health().ok());
}

TEST_P(FileIntegrity, AChangedBitIsFound) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.runtime->Drain().ok());
  OnHost(values[3].saved)[kValue - 1] ^= 0x40;
  ExpectLost(p, values[3].saved, "checksum");
  for (const int i : {0, 1, 2, 4}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
  EXPECT_EQ(p.runtime->health().code(), StatusCode::kDataLoss);
  ExpectBookedOnce(p.ledger());
}

TEST_P(FileIntegrity, ABadSectorIsAStatus) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.runtime->Drain().ok());
  {
    const ScopedFailpoint failure("file.read", {});
    EXPECT_EQ(p.runtime->Unpack(values[2].saved, p.compute()).status().code(), StatusCode::kDataLoss);
    ASSERT_EQ(failure.calls(), 1);
  }
  ExpectLost(p, values[2].saved, "Input/output error");
  for (const int i : {0, 1, 3, 4}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
}

TEST_P(FileIntegrity, ABadSectorRightAfterTheCopyIsAStatus) {
  Program p(SmallHost());
  std::vector<SavedBytes> values;
  {
    const ScopedFailpoint failure("file.read", {});
    values = PackFive(p);
    ASSERT_TRUE(p.runtime->Drain().ok());
    ASSERT_EQ(failure.calls(), 3);
  }
  ExpectLost(p, values[2].saved, "Input/output error");
  for (const int i : {0, 1, 3, 4}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
}

// Touching the memory behind the end of a file is SIGBUS.
TEST_P(FileIntegrity, AFileThatWasCutShortIsAStatus) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.runtime->Drain().ok());
  const int descriptor = Descriptor();
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(ftruncate(descriptor, 100), 0);
  for (const int i : {2, 3, 4}) ExpectLost(p, values[i].saved, "the file ends");
  for (const int i : {0, 1}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
}

// Writing pages back fails behind the program's back: the kernel drops them, and the file has what it had before, here
// for all of a value or for its end.
TEST_P(FileIntegrity, APageThatWasNotWrittenBackIsFound) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.runtime->Drain().ok());
  if (!DropFromFile(values[2].saved, 0)) GTEST_SKIP() << kNoHoles;
  ASSERT_TRUE(DropFromFile(values[4].saved, kValue - PageBytes()));
  ExpectLost(p, values[2].saved, "checksum");
  ExpectLost(p, values[4].saved, "checksum");
  for (const int i : {0, 1, 3}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
  EXPECT_EQ(p.runtime->health().code(), StatusCode::kDataLoss);
}

// A write that ends short, and is told of by nobody, comes before the file's checksum is taken: the device's finds it.
TEST_P(FileIntegrity, AShortWriteIsFoundByTheChecksumOfTheDevice) {
  Options options = SmallHost();
  options.checksums = true;
  Program p(options);
  const std::vector<SavedBytes> values = PackFive(p);
  ASSERT_TRUE(p.device->Synchronize().ok());  // copied, and not yet seen to be
  if (!DropFromFile(values[3].saved, kValue - PageBytes())) GTEST_SKIP() << kNoHoles;
  ASSERT_TRUE(p.runtime->Drain().ok());
  ExpectLost(p, values[3].saved, "checksum");
  for (const int i : {0, 1, 2, 4}) EXPECT_EQ(p.Unpack(values[i].saved), values[i].bytes);
}

// There is no checksum yet: the copy in follows the copy out.
TEST_P(FileIntegrity, AValueMayComeBackBeforeItsCopyWasSeenToEnd) {
  Program p(SmallHost());
  const std::vector<SavedBytes> values = PackFive(p);
  const ScopedFailpoint unread("file.read", {.persistent = true});
  const StatusOr<Loaded> loaded = p.runtime->Unpack(values[4].saved, p.compute());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(unread.calls(), 0) << "this is about a copy in flight";
  EXPECT_EQ(p.Read(*loaded, p.compute()), values[4].bytes);
}

INSTANTIATE_TEST_SUITE_P(Modes, FileIntegrity, testing::Values(OffloadMode::kNaive, OffloadMode::kMarshal),
                         [](const auto& test) { return test.param == OffloadMode::kNaive ? "Naive" : "Marshal"; });

}  // namespace
}  // namespace tierlib
