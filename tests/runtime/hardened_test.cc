// Hardened mode through the verbs: the same bytes, and an end with a message where a program misuses memory.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

Options HardenedOptions(std::uint64_t seed = 1) {
  Options options = DeterministicOptions(seed);
  options.hardened = true;
  return options;
}

// All bytes that come back, one after another, of a program that fills the tiers.
Bytes RunProgram(const Options& options) {
  Program p(options);
  Random random(5);
  Bytes all;
  std::vector<Saved> kept;
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t bytes = 1 + random.UniformInt(KiB(100));
    const Allocation x = p.Make(RandomBytes(random, bytes));
    const std::uint64_t begin = random.UniformInt(bytes);
    kept.push_back(p.Pack(x.storage, PartOf(begin, bytes)));
    kept.push_back(p.Pack(x.storage, WholeOf(bytes)));
    p.Retire(x.storage);
    if (kept.size() < 16) continue;
    for (int i = 0; i < 6; ++i) {
      const std::size_t one = random.UniformInt(kept.size());
      const Bytes back = p.Unpack(kept[one]);
      all.insert(all.end(), back.begin(), back.end());
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(one));
    }
  }
  const Statistics now = p.runtime->statistics();
  for (const TierStatistics& tier : {now.device, now.pinned, now.pageable}) {
    EXPECT_EQ(tier.live + tier.waste + tier.cached + tier.pending, tier.reserved);
  }
  return all;
}

TEST(HardenedRuntime, GivesTheSameBytes) {
  for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
    Options options = DeterministicOptions(3, OffloadMode::kMarshal, policy);
    const Bytes plain = RunProgram(options);
    options.hardened = true;
    EXPECT_TRUE(RunProgram(options) == plain);
    options.devices[0].emulated = EmulatedOptions{.kernel_threads = 2};
    EXPECT_TRUE(RunProgram(options) == plain) << "on threads";
    options.devices[0].backing = DeviceBacking::kMallocAsync;
    EXPECT_TRUE(RunProgram(options) == plain) << "without a pool";
    EXPECT_GT(plain.size(), MiB(1));
  }
}

TEST(HardenedRuntime, IsAskedForByTheEnvironmentToo) {
  const char* const before = std::getenv("TIERLIB_HARDENED");
  const std::string kept = before == nullptr ? "0" : before;
  for (const char* value : {"1", "0", ""}) {
    setenv("TIERLIB_HARDENED", value, 1);
    EXPECT_EQ(Program(DeterministicOptions(1)).runtime->options().hardened, std::string(value) == "1");
    EXPECT_TRUE(Program(HardenedOptions()).runtime->options().hardened) << "an option is not taken back";
  }
  setenv("TIERLIB_HARDENED", kept.c_str(), 1);
}

// A slot is used again, under another generation.
TEST(HardenedRuntime, AStaleStorageIdIsRefusedByName) {
  Program p(HardenedOptions());
  const Allocation old = p.Make(Pattern(1));
  p.Retire(old.storage);
  const Allocation next = p.Make(Pattern(2));
  ASSERT_EQ(next.storage.slot, old.storage.slot);
  const std::string name = "storage " + std::to_string(old.storage.slot) + "." +
                           std::to_string(old.storage.generation) + " is not registered";
  const View view = {old.storage, WholeOf(kSize)};
  for (const Status& status :
       {p.runtime->Retire(old.storage, p.compute()), p.runtime->BeginWrite(old.storage, p.compute()),
        p.runtime->Derive(view, {next.storage, WholeOf(kSize)}, Replay::Copy()),
        p.runtime->Pack(view, nullptr, p.compute(), "stale").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), testing::StartsWith(name));
  }
}

class HardenedRuntimeDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(HardenedRuntimeDeathTest, AKernelThatWritesBehindItsStorage) {
  const auto misuse = [](bool retires) {
    Program p(HardenedOptions());
    const Allocation x = p.Make(Pattern(1, 1000));
    p.Write(x.data, Pattern(2, 1001), p.compute());
    if (retires) p.Retire(x.storage);
  };
  const char* const expected =
      "write behind the end of a block: 1000 bytes at offset 256 of the device pool \\(activations\\); byte 0 ";
  EXPECT_DEATH(misuse(/*retires=*/true), expected);
  EXPECT_DEATH(misuse(/*retires=*/false), expected);
}

TEST_F(HardenedRuntimeDeathTest, AKernelThatWritesBehindItsStorageWithoutAPool) {
  const auto misuse = [] {
    Options options = HardenedOptions();
    options.devices[0].backing = DeviceBacking::kMallocAsync;
    Program p(options);
    const Allocation x = p.Make(Pattern(1, 1000));
    p.Write(x.data, Pattern(2, 1001), p.compute());
    p.Retire(x.storage);
  };
  EXPECT_DEATH(
      misuse(),
      "write behind the end of a block: 1000 bytes at 0x[0-9a-f]+ of device memory \\(activations\\); byte 0 ");
}

TEST_F(HardenedRuntimeDeathTest, AKernelThatWritesAfterItsStorageWasRetired) {
  const auto misuse = [] {
    Program p(HardenedOptions());
    const Allocation x = p.Make(Pattern(1));
    p.Retire(x.storage);
    EXPECT_TRUE(p.device->Synchronize().ok());
    p.Write(x.data, Pattern(2), p.compute());
  };
  EXPECT_DEATH(misuse(),
               "write after free: 4096 bytes at offset 256 of the device pool \\(activations\\), which were "
               "free; byte 0 ");
}

}  // namespace
}  // namespace tierlib
