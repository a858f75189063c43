// Limits of the host tiers that the system does not hold are refused by name; those that nobody chose are lowered.
#include "runtime/host_limits.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "runtime/core.h"
#include "tierlib/bytes.h"
#include "tierlib/runtime.h"

namespace tierlib::internal {
namespace {

Options Limits(std::uint64_t pinned, std::uint64_t pageable) {
  Options options;
  options.pinned_limit = pinned;
  options.pageable_limit = pageable;
  return options;
}

TEST(HostLimits, ThatAreHeldStay) {
  Options options = Limits(GiB(40), GiB(1));
  for (const auto left : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(GiB(41))}) {
    ASSERT_TRUE(FitHostLimits(options, left).ok());
    EXPECT_EQ(options.pinned_limit, GiB(40));
    EXPECT_EQ(options.pageable_limit, GiB(1));
  }
}

TEST(HostLimits, ThatCannotBeHeldAreRefusedByName) {
  const struct {
    std::uint64_t pinned, pageable;
    const char* message;
  } rows[] = {
      {GiB(64), GiB(2), "pinned_limit 64 GiB asked, the cgroup leaves 41 GiB"},
      {GiB(64), 0, "pinned_limit 64 GiB asked, the cgroup leaves 41 GiB"},
      {GiB(2), GiB(50), "pageable_limit 50 GiB asked, the cgroup leaves 41 GiB"},
      {0, GiB(50), "pageable_limit 50 GiB asked, the cgroup leaves 41 GiB"},
      {GiB(36), GiB(6), "pageable_limit 6 GiB asked, the cgroup leaves 5 GiB beside pinned_limit 36 GiB"},
  };
  for (const auto& row : rows) {
    Options options = Limits(row.pinned, row.pageable);
    const Status status = FitHostLimits(options, GiB(41));
    EXPECT_EQ(status, InvalidArgumentError(row.message));
  }
}

TEST(HostLimits, ThatNobodyChoseAreLowered) {
  const std::uint64_t unchosen = Options().pinned_limit;
  ASSERT_EQ(unchosen, Options().pageable_limit);
  const struct {
    std::uint64_t pinned, pageable, left, then_pinned, then_pageable;
  } rows[] = {
      {unchosen, unchosen, GiB(41), unchosen, unchosen},
      {unchosen, unchosen, GiB(2), GiB(1), MiB(512)},
      {unchosen, unchosen, 0, 0, 0},
      {unchosen, GiB(1), GiB(2), MiB(512), GiB(1)},
      {GiB(1), unchosen, GiB(2), GiB(1), MiB(512)},
  };
  for (const auto& row : rows) {
    Options options = Limits(row.pinned, row.pageable);
    ASSERT_TRUE(FitHostLimits(options, row.left).ok());
    EXPECT_EQ(options.pinned_limit, row.then_pinned) << row.left;
    EXPECT_EQ(options.pageable_limit, row.then_pageable) << row.left;
  }
}

TEST(HostLimits, OfDevicesWithoutBytesAreNotLookedAt) {
  Options options = Limits(GiB(512), 0);
  options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  EXPECT_TRUE(FitHostLimits(options, GiB(1)).ok());
  EXPECT_EQ(options.pinned_limit, GiB(512));
  options.devices.emplace_back();
  EXPECT_FALSE(FitHostLimits(options, GiB(1)).ok());
}

TEST(HostLimits, ARuntimeHasThoseOfItsCgroup) {
  const TemporaryFolder root;
  std::filesystem::create_directories(root / "proc/self");
  std::filesystem::create_directories(root / "sys/fs/cgroup/job");
  WriteWhole(root / "proc/self/cgroup", "0::/job\n");
  WriteWhole(root / "sys/fs/cgroup/job/memory.max", std::to_string(MiB(64)));
  const auto lowered = Core::Create(Options(), root.path());
  ASSERT_TRUE(lowered.ok()) << lowered.status();
  EXPECT_EQ((*lowered)->options().pinned_limit, MiB(32));
  EXPECT_EQ((*lowered)->statistics().pinned.capacity, MiB(32));
  EXPECT_EQ((*lowered)->statistics().pageable.capacity, MiB(16));
  EXPECT_EQ(Core::Create(Limits(MiB(65), 0), root.path()).status(),
            InvalidArgumentError("pinned_limit 65 MiB asked, the cgroup leaves 64 MiB"));
}

TEST(HostLimits, BeyondTheAddressSpaceAreRefusedWhereThereIsNoCgroup) {
  const TemporaryFolder root;
  const Status status = Core::Create(Limits(std::uint64_t{1} << 62, 0), root.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("pinned memory"), std::string_view::npos) << status;
}

}  // namespace
}  // namespace tierlib::internal
