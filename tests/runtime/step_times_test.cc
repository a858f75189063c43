// The ledger of time through the runtime: what a program gets to read, and that its figures fit together.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 16'384;

std::uint64_t SumOf(const StallTimes& s) {
  return s.late_copy_in_ns + s.copy_out_tail_ns + s.write_fence_ns + s.allocation_ns + s.producer_ns;
}

void ExpectFitTogether(const StepTimes& t) {
  EXPECT_LE(t.transfer_ns, t.copy_out_ns + t.copy_in_ns);
  EXPECT_GE(t.transfer_ns, std::max(t.copy_out_ns, t.copy_in_ns));
  EXPECT_LE(t.hidden_ns, t.transfer_ns);
  EXPECT_LE(t.transfer_ns - t.hidden_ns, t.exposed_ns) << "what was not hidden, a stream waited for";
  EXPECT_EQ(t.unmeasured, 0u);
  for (const StreamTimes& stream : t.streams) {
    EXPECT_LE(stream.wall_ns, t.wall_ns);
    EXPECT_EQ(stream.compute_ns + SumOf(stream.stalls) + stream.unknown_ns, stream.wall_ns);
  }
}

// A step that moves values out, uses their memory again, and takes them back on either stream.
void RunStep(Program& p, Random& random, std::uint64_t number) {
  p.runtime->BeginStep(number);
  std::vector<Saved> saved;
  for (int i = 0; i < 4; ++i) {
    const Allocation x = p.Make(RandomBytes(random, kSize));
    saved.push_back(p.Pack(x.storage, WholeOf(kSize)));
    p.Retire(x.storage);
  }
  while (!saved.empty()) {
    (void)p.Unpack(saved.back());
    saved.pop_back();
  }
  p.runtime->EndStep();
}

TEST(StepTimes, FitTogether) {
  for (std::uint64_t seed = 1; seed <= 20 / TIERLIB_RANDOM_SCALE + 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Program p(DeterministicOptions(seed));
    Random random(seed);
    std::uint64_t wall_ns = 0, hidden_ns = 0;
    for (std::uint64_t step = 1; step <= 3; ++step) {
      RunStep(p, random, step);
      ASSERT_TRUE(p.runtime->Drain().ok());
      ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
      ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
      const std::vector<DeviceTimes> times = p.runtime->statistics().times;
      ASSERT_EQ(times.size(), 1u);
      const StepTimes& last = times[0].last_step;
      EXPECT_EQ(last.step, step);
      ASSERT_EQ(last.streams.size(), 2u);
      EXPECT_GT(last.copy_out_ns, 0u);
      EXPECT_GT(last.copy_in_ns, 0u);
      EXPECT_GT(last.streams[0].compute_ns, 0u);
      EXPECT_GT(last.streams[0].stalls.late_copy_in_ns, 0u);
      ExpectFitTogether(last);
      wall_ns += last.wall_ns;
      hidden_ns += last.hidden_ns;
      const StepTimes& total = times[0].total;
      EXPECT_EQ(total.steps, step);
      EXPECT_EQ(total.wall_ns, wall_ns);
      EXPECT_EQ(total.hidden_ns, hidden_ns);
    }
  }
}

// A block goes from its copy out to the next allocation: the program's stream waits for the tail of the copy.
TEST(StepTimes, MemoryThatIsBeingCopiedOutIsWaitedFor) {
  Options options = DeterministicOptions(1);
  options.devices[0].capacity = 2 * kSize;
  options.devices[0].emulated.poison = false;
  Program p(options);
  Random random(1);
  RunStep(p, random, 1);
  ASSERT_TRUE(p.runtime->Drain().ok());
  ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
  ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
  const StepTimes step = p.runtime->statistics().times.at(0).last_step;
  ASSERT_EQ(step.steps, 1u);
  EXPECT_GT(step.streams.at(0).stalls.copy_out_tail_ns, 0u);
  ExpectFitTogether(step);
}

// Memory waits for the copy out that reads it, and not for those that were enqueued later.
TEST(StepTimes, MemoryWaitsForItsOwnCopyOutAlone) {
  int later_copy_under_way = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed));
    Random random(1);
    const Allocation first = p.Make(RandomBytes(random, kSize));
    const Allocation second = p.Make(RandomBytes(random, kSize));
    const Saved saved_first = p.Pack(first.storage, WholeOf(kSize));
    p.Retire(first.storage);
    const Saved saved_second = p.Pack(second.storage, WholeOf(kSize));
    const Allocation next = p.Make(RandomBytes(random, kSize));
    EXPECT_EQ(next.data, first.data);
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    TransferEngine& transfers = *p.runtime->core()->tier(0).transfers;
    transfers.Poll();
    later_copy_under_way += transfers.bytes_in_flight() > 0 ? 1 : 0;
    p.Retire(second.storage);
    p.Retire(next.storage);
  }
  EXPECT_GT(later_copy_under_way, 0);
}

// Each wait of the host is booked to the storage that it waited for, by its cause, and to the step.
TEST(StepTimes, WaitsOfTheHostAreBookedByStorageAndCause) {
  const std::string folder = testing::TempDir() + "step_times_test." + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  Options options = DeterministicOptions(1);
  options.pinned_limit = 2 * kSize;
  options.pageable_limit = 0;
  options.file_directory = folder;
  options.devices[0].in_flight_limit = kSize;
  options.checksums = true;
  {
    Program p(options);
    Random random(1);
    RunStep(p, random, 1);
    RunStep(p, random, 2);
    ASSERT_TRUE(p.runtime->Drain().ok());
    for (const Stream stream : p.streams) ASSERT_TRUE(p.runtime->Synchronize(stream).ok());
    const DeviceTimes times = p.runtime->statistics().times.at(0);
    ASSERT_EQ(times.total.steps, 2u);
    const HostWaitTimes& total = times.total.host_waits;
    EXPECT_GT(total.contention_ns, 0u);
    EXPECT_GT(total.disk_ns, 0u);
    EXPECT_GT(total.checksum_ns, 0u);
    EXPECT_GT(total.host_pool_ns, 0u) << "the first blocks of each tier come from the system";
    EXPECT_EQ(total.allocation_ns, 0u);
    EXPECT_LT(times.last_step.host_waits.disk_ns, total.disk_ns);
    EXPECT_LE(total.contention_ns + total.disk_ns + total.checksum_ns + total.host_pool_ns, times.total.host_ns);
    const std::vector<StorageStalls> by_storage = p.runtime->StallsByStorage(0);
    ASSERT_EQ(by_storage.back().label, "saved");
    const StorageStalls& saved = by_storage.back();
    EXPECT_EQ(saved.host_times.contention_ns, total.contention_ns);
    EXPECT_EQ(saved.host_times.disk_ns, total.disk_ns);
    EXPECT_EQ(saved.host_times.checksum_ns, total.checksum_ns);
    EXPECT_EQ(saved.host_times.host_pool_ns, total.host_pool_ns);
    EXPECT_GE(saved.host_count, 16u) << "each of eight values has a checksum, and a wait for copies or a read";
  }
  std::filesystem::remove_all(folder);
}

TEST(StepTimes, ProgramsWithoutStepsHaveNone) {
  Program p(DeterministicOptions(1));
  Random random(1);
  const Allocation x = p.Make(RandomBytes(random, kSize));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(x.storage);
  (void)p.Unpack(saved);
  ASSERT_TRUE(p.runtime->Drain().ok());
  const std::vector<DeviceTimes> times = p.runtime->statistics().times;
  EXPECT_EQ(times.at(0).total.steps, 0u);
  EXPECT_EQ(times.at(0).total.copy_out_ns, 0u);
}

}  // namespace
}  // namespace tierlib
