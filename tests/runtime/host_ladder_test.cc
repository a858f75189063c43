// Saved values that pinned memory has no room for: pageable memory, then a file, then the device, each step counted.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"
#include "runtime/tier_sums.h"
#include "trace/reader.h"
#include "trace/summary.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kValue = KiB(64);
constexpr std::uint64_t kValues = 24;

class HostLadder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "host_ladder_test." + std::to_string(getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Room for two values in pinned memory, for two in pageable memory, and a file.
  Options SmallHost(std::uint64_t seed, OffloadMode mode = OffloadMode::kMarshal) const {
    Options options = DeterministicOptions(seed, mode);
    options.pinned_limit = 2 * kValue;
    options.pageable_limit = 2 * kValue;
    options.file_directory = folder_;
    options.file_limit = MiB(16);
    return options;
  }

  std::string folder_;
};

struct SavedBytes {
  Saved saved;
  Bytes bytes;
};

std::vector<SavedBytes> PackMany(Program& p, std::uint64_t seed) {
  Random random(seed);
  std::vector<SavedBytes> values;
  for (std::uint64_t i = 0; i < kValues; ++i) {
    SavedBytes value;
    value.bytes = RandomBytes(random, kValue);
    const Allocation x = p.Make(value.bytes);
    value.saved = p.Pack(x.storage, WholeOf(kValue));
    p.Retire(x.storage);
    values.push_back(std::move(value));
  }
  return values;
}

TEST_F(HostLadder, PinnedThenPageableThenTheFileAndEveryBitComesBack) {
  for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
    Program p(SmallHost(5, mode));
    std::vector<SavedBytes> values = PackMany(p, 11);
    ASSERT_TRUE(p.runtime->Drain().ok());
    Statistics now = p.runtime->statistics();
    EXPECT_EQ(now.pinned.live, 2 * kValue);
    EXPECT_EQ(now.pageable.live, 2 * kValue);
    EXPECT_EQ(now.file.live, (kValues - 4) * kValue);
    EXPECT_EQ(now.file.capacity, MiB(16));
    EXPECT_EQ(now.fallbacks.to_pageable, 2u);
    EXPECT_EQ(now.fallbacks.to_pageable_bytes, 2 * kValue);
    EXPECT_EQ(now.fallbacks.to_file, kValues - 4);
    EXPECT_EQ(now.fallbacks.to_file_bytes, (kValues - 4) * kValue);
    EXPECT_EQ(now.fallbacks.refused, 0u);
    EXPECT_EQ(now.device.live, 0u);
    ExpectAddsUp(now);
    Random random(3);
    for (int i = 0; i < 60; ++i) {
      const SavedBytes& value = values[random.UniformInt(values.size())];
      ASSERT_EQ(p.Unpack(value.saved), value.bytes);
    }
    values.clear();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
    EXPECT_GT(p.runtime->Trim(Tier::kFile, MiB(64)).value(), 0u);
    now = p.runtime->statistics();
    EXPECT_EQ(now.file.live, 0u);
    EXPECT_EQ(now.file.reserved, 0u);
    ExpectBookedOnce(now.total);
  }
}

TEST_F(HostLadder, AFullDiskLeavesValuesOnTheDevice) {
  Program p(SmallHost(5));
  std::vector<SavedBytes> values;
  auto full = std::make_unique<ScopedFailpoint>("file.reserve", FailurePlan{.persistent = true});
  values = PackMany(p, 12);
  EXPECT_GT(full->calls(), 0);
  const Statistics now = p.runtime->statistics();
  EXPECT_EQ(now.total.kept, (kValues - 4) * kValue);
  EXPECT_EQ(now.device.live, (kValues - 4) * kValue);
  EXPECT_EQ(now.file.reserved, 0u);
  EXPECT_EQ(now.fallbacks.to_file, 0u);
  EXPECT_EQ(now.fallbacks.refused, kValues - 4);
  EXPECT_EQ(now.fallbacks.refused_bytes, (kValues - 4) * kValue);
  EXPECT_EQ(p.runtime->Reclaim(0, MiB(4)).value(), 0u);
  EXPECT_EQ(p.runtime->statistics().fallbacks.refused, kValues - 4) << "who asks again is not counted again";
  full.reset();
  for (const SavedBytes& value : values) ASSERT_EQ(p.Unpack(value.saved), value.bytes);
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok()) << "the disk has room again";
  EXPECT_EQ(p.runtime->statistics().fallbacks.to_file, kValues - 4);
  EXPECT_EQ(p.runtime->statistics().fallbacks.refused, kValues - 4);
  for (const SavedBytes& value : values) ASSERT_EQ(p.Unpack(value.saved), value.bytes);
  EXPECT_TRUE(p.runtime->health().ok());
}

// The last rung: what the program can compute again is, and the rest stays on the device. Each is told.
TEST_F(HostLadder, AfterTheFileComesComputingAgain) {
  Options options = SmallHost(5);
  options.file_limit = 4 * kValue;
  options.trace = folder_ + "/run.tlt";
  {
    Program p(options);
    Random random(14);
    std::vector<SavedBytes> values;
    for (std::uint64_t i = 0; i < kValues; ++i) {
      SavedBytes value;
      value.bytes = RandomBytes(random, kValue);
      const Allocation x = p.Make(value.bytes);
      const auto write = [&p, bytes = value.bytes](const RecomputeArguments& a) {
        p.Write(a.destination, bytes, a.stream);
        return OkStatus();
      };
      if (i % 2 == 0) {
        ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kValue)}, {write, "write"}).ok());
      }
      value.saved = p.Pack(x.storage, WholeOf(kValue));
      p.Retire(x.storage);
      values.push_back(std::move(value));
    }
    const Statistics now = p.runtime->statistics();
    EXPECT_EQ(now.pinned.live, 2 * kValue);
    EXPECT_EQ(now.pageable.live, 2 * kValue);
    EXPECT_EQ(now.file.live, 4 * kValue);
    EXPECT_EQ(now.fallbacks.to_recompute, 8u);
    EXPECT_EQ(now.fallbacks.to_recompute_bytes, 8 * kValue);
    EXPECT_EQ(now.fallbacks.refused, 8u);
    EXPECT_EQ(now.total.moved, 8 * kValue);
    EXPECT_EQ(now.total.avoided_recompute, 8 * kValue);
    EXPECT_EQ(now.total.kept, 8 * kValue);
    EXPECT_EQ(now.device.live, 8 * kValue);
    ExpectBookedOnce(now.total);
    for (const SavedBytes& value : values) ASSERT_EQ(p.Unpack(value.saved), value.bytes);
    EXPECT_EQ(p.ledger().recomputes, 8u);
  }
  const StatusOr<trace::Trace> read = trace::ReadTraceFile(options.trace);
  ASSERT_TRUE(read.ok()) << read.status();
  const trace::Summary summary = trace::Summarize(*read);
  EXPECT_EQ(summary.avoided_recompute, 8 * kValue);
  EXPECT_EQ(summary.recomputes, 8u);
  EXPECT_EQ(summary.recomputed_instead.count, 8u);
  EXPECT_EQ(summary.recomputed_instead.bytes, 8 * kValue);
  EXPECT_EQ(summary.refused.count, 8u);
}

TEST_F(HostLadder, WithoutADirectoryThereIsNoFile) {
  Options options = SmallHost(5);
  options.file_directory.clear();
  Program p(options);
  const std::vector<SavedBytes> values = PackMany(p, 13);
  const Statistics now = p.runtime->statistics();
  EXPECT_EQ(now.file.capacity, 0u);
  EXPECT_EQ(now.fallbacks.to_pageable, 2u);
  EXPECT_EQ(now.fallbacks.refused, kValues - 4);
  EXPECT_EQ(p.runtime->Trim(Tier::kFile, MiB(1)).value(), 0u);
}

TEST_F(HostLadder, TheTraceShowsEveryStep) {
  const std::string path = folder_ + "/run.tlt";
  Options options = SmallHost(5);
  options.trace = path;
  options.file_limit = 4 * kValue;
  {
    Program p(options);
    const std::vector<SavedBytes> values = PackMany(p, 14);
  }
  const trace::Summary summary = trace::Summarize(trace::ReadTraceFile(path).value());
  const auto to = [&](trace::TierCode tier) { return summary.fallbacks[static_cast<std::size_t>(tier)]; };
  EXPECT_EQ(to(trace::TierCode::kPinned).count, 0u);
  EXPECT_EQ(to(trace::TierCode::kPageable).bytes, 2 * kValue);
  EXPECT_EQ(to(trace::TierCode::kFile).bytes, 4 * kValue);
  EXPECT_EQ(to(trace::TierCode::kFile).count, 4u);
  EXPECT_EQ(summary.refused.bytes, (kValues - 8) * kValue);
  ASSERT_EQ(summary.tiers.size(), 4u);
  EXPECT_EQ(summary.tiers[3].tier, trace::TierCode::kFile);
  EXPECT_EQ(summary.tiers[3].peak_bytes, 4 * kValue);
}

TEST_F(HostLadder, ADirectoryThatCannotBeUsedIsRefusedByName) {
  Options options = SmallHost(5);
  options.file_directory = folder_ + "/none";
  const Status status = Runtime::Create(options).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("file_directory " + folder_ + "/none: no file can be made there"));
  options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  EXPECT_TRUE(Runtime::Create(options).ok()) << "shape-only: nothing touches a disk";
}

}  // namespace
}  // namespace tierlib
