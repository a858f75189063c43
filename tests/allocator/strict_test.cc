// The strict mode: device bytes are closed to the program, and work that touches a copy in progress is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "allocator/device_factory.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(std::uint64_t seed) {
  DeviceOptions options;
  options.capacity = KiB(64);
  options.emulated = {.schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1, .strict = true};
  return MakeDevice(options).value();
}

using StrictDeathTest = testing::Test;

TEST(StrictDeathTest, TheProgramCannotTouchDeviceBytes) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto device = Make(1);
  const Stream stream = device->CreateStream("s").value();
  auto* block = static_cast<volatile std::uint8_t*>(device->Reserve(KiB(8)).value());
  EXPECT_DEATH(block[0] = 1, "");
  // A kernel may.
  ASSERT_TRUE(device->Launch(stream, {"write", {}, [block](KernelContext&) { block[KiB(8) - 1] = 5; }}).ok());
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_DEATH((void)block[KiB(8) - 1], "");
  std::uint8_t host = 0;
  ASSERT_TRUE(device
                  ->Copy({{&host, const_cast<const std::uint8_t*>(block) + KiB(8) - 1, 1}},
                         CopyDirection::kDeviceToHost, stream)
                  .ok());
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_EQ(host, 5);
}

// Pages of a range that was given back stay closed while a kernel runs: a kernel that still uses them is found.
TEST(StrictDeathTest, AKernelCannotTouchWhatWasReleasedBetweenOtherRanges) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto device = Make(1);
  const Stream stream = device->CreateStream("s").value();
  constexpr std::size_t kRange = KiB(16);
  auto* low = static_cast<volatile std::uint8_t*>(device->Reserve(kRange).value());
  auto* middle = static_cast<volatile std::uint8_t*>(device->Reserve(kRange).value());
  auto* high = static_cast<volatile std::uint8_t*>(device->Reserve(kRange).value());
  ASSERT_TRUE(device->Release(const_cast<std::uint8_t*>(middle), kRange).ok());
  const auto touch = [&](volatile std::uint8_t* byte) {
    return device->Launch(stream, {"touch", {}, [byte](KernelContext&) { *byte = 1; }}).ok() &&
           device->SynchronizeStream(stream).ok();
  };
  EXPECT_DEATH((void)touch(middle), "");
  EXPECT_DEATH((void)touch(middle + kRange - 1), "");
  for (volatile std::uint8_t* byte : {low, low + kRange - 1, high, high + kRange - 1}) EXPECT_TRUE(touch(byte));
  EXPECT_DEATH(*high = 1, "") << "closed again";
}

// A copy in of bytes [256, 512) of a block of 1 KiB, and a kernel on another stream with the access given, unordered.
struct Race {
  std::size_t begin = 0;
  std::size_t bytes = 0;
  bool writes = false;
  bool on_host = false;  // the access is to the copy's source
  bool wait = false;     // the kernel waits for the copy
};

Status Run(const Race& race, std::uint64_t seed) {
  const auto device = Make(seed);
  const Stream copies = device->CreateStream("copies").value();
  const Stream compute = device->CreateStream("compute").value();
  const EventId copied = device->CreateEvent().value();
  auto* block = static_cast<std::byte*>(device->Reserve(KiB(1)).value());
  std::vector<std::byte> host(KiB(1));
  EXPECT_TRUE(device->Copy({{block + 256, host.data() + 256, 256}}, CopyDirection::kHostToDevice, copies).ok());
  EXPECT_TRUE(device->RecordEvent(copied, copies).ok());
  if (race.wait) {
    EXPECT_TRUE(device->WaitEvent(compute, copied).ok());
  }
  const Access access{(race.on_host ? host.data() : block) + race.begin, race.bytes, race.writes};
  EXPECT_TRUE(device->Launch(compute, {"add", {access}, [](KernelContext&) {}}).ok());
  const Status first = device->SynchronizeStream(compute);
  const Status second = device->SynchronizeStream(copies);
  const StatusOr<bool> queried = device->EventDone(copied);
  if (!first.ok()) {
    EXPECT_EQ(second, first) << "it stays";
    EXPECT_EQ(queried.status(), first);
    EXPECT_EQ(device->SynchronizeEvent(copied), first);
  }
  EXPECT_EQ(device->health(), second);
  return second;
}

// The first finding over many seeds; OK where there is none.
Status Find(const Race& race) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Status status = Run(race, seed);
    if (!status.ok()) return status;
  }
  return OkStatus();
}

TEST(Strict, FindsAKernelThatReadsWhatACopyWrites) {
  const Status status = Find({.begin = 0, .bytes = 300});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "kernel add reads device bytes [256, 300) of a copy in progress");
}

TEST(Strict, FindsAKernelThatWritesWhatACopyWrites) {
  EXPECT_EQ(Find({.begin = 511, .bytes = 100, .writes = true}).message(),
            "kernel add writes device bytes [511, 512) of a copy in progress");
}

TEST(Strict, FindsAKernelThatWritesWhatACopyReads) {
  EXPECT_THAT(Find({.begin = 300, .bytes = 8, .writes = true, .on_host = true}).ToString(),
              testing::MatchesRegex("FAILED_PRECONDITION: kernel add writes host bytes .* of a copy in progress"));
}

TEST(Strict, AllowsWhatIsOrderedOrElsewhere) {
  EXPECT_EQ(Find({.begin = 0, .bytes = KiB(1), .wait = true}), OkStatus());
  EXPECT_EQ(Find({.begin = 0, .bytes = KiB(1), .writes = true, .wait = true}), OkStatus());
  EXPECT_EQ(Find({.begin = 0, .bytes = 256, .writes = true}), OkStatus());
  EXPECT_EQ(Find({.begin = 512, .bytes = 512, .writes = true}), OkStatus());
  EXPECT_EQ(Find({.begin = 256, .bytes = 256, .on_host = true}), OkStatus()) << "two readers";
}

// A copy out that does not wait for the copy in of the same bytes.
Status CopyBack(std::uint64_t seed, bool fill) {
  const auto device = Make(seed);
  const Stream in = device->CreateStream("in").value();
  const Stream out = device->CreateStream("out").value();
  auto* block = static_cast<std::byte*>(device->Reserve(KiB(1)).value());
  std::vector<std::byte> host(KiB(2));
  EXPECT_TRUE(device->Copy({{block, host.data(), KiB(1)}}, CopyDirection::kHostToDevice, in).ok());
  if (fill) {
    EXPECT_TRUE(device->Fill(block + 768, 0, 256, out).ok());
  } else {
    EXPECT_TRUE(device->Copy({{host.data() + KiB(1), block, KiB(1)}}, CopyDirection::kDeviceToHost, out).ok());
  }
  (void)device->SynchronizeStream(out);
  return device->SynchronizeStream(in);
}

TEST(Strict, FindsCopiesAndFillsThatDidNotWait) {
  std::vector<std::string> found;
  for (const bool fill : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      const Status status = CopyBack(seed, fill);
      if (!status.ok()) found.emplace_back(status.message());
    }
  }
  EXPECT_THAT(found, testing::Contains("a copy reads device bytes [0, 1024) of a copy in progress"));
  EXPECT_THAT(found, testing::Contains("a fill writes device bytes [768, 1024) of a copy in progress"));
}

}  // namespace
}  // namespace tierlib
