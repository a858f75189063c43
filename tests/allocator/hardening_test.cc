// A pool in hardened mode: what it lays around blocks, holds back, and says when it finds misuse.
#include "allocator/hardening.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"

namespace tierlib {
namespace {

constexpr std::size_t kUnit = 256;

struct HardenedPool {
  HardenedPool() = default;
  HardenedPool(HardenedPool&&) = default;
  ~HardenedPool() { DestroyPool(); }
  void DestroyPool() {
    if (device != nullptr) (void)device->Synchronize();  // as the pool's destructor requires
    pool.reset();
  }
  std::byte* Take(std::size_t bytes) {
    return static_cast<std::byte*>(pool->Allocate(bytes, stream, trace::Tag::kActivation).value());
  }
  void Give(std::byte* block) { pool->Free(block, {stream}); }
  // What was freed so far is filled then.
  void Settle() {
    (void)device->Synchronize();
    Give(Take(1));  // host memory: the pool notices in its calls
    (void)device->Synchronize();
  }
  // As work of the device does.
  void Write(std::byte* at) { (void)device->Fill(at, 0x41, 1, stream); }
  std::vector<std::byte> Read(const std::byte* at, std::size_t bytes) {
    std::vector<std::byte> seen(bytes);
    const CopyRun run = {seen.data(), at, bytes};
    EXPECT_TRUE(device->Copy({&run, 1}, CopyDirection::kDeviceToHost, stream).ok());
    EXPECT_TRUE(device->SynchronizeStream(stream).ok());
    return seen;
  }

  std::unique_ptr<DeviceBackend> device;
  std::unique_ptr<BlockPool> pool;
  Stream stream;
};

HardenedPool MakeHardened(Tier tier, EmulatedOptions emulated, std::uint64_t capacity = MiB(4),
                          std::size_t quarantine = MiB(3)) {
  HardenedPool made;
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated = emulated;
  made.device = MakeDevice(options).value();
  made.stream = made.device->CreateStream("program").value();
  HostSourceOptions host;
  host.tier = tier;
  host.capacity = capacity;
  host.shape_only = made.device->info().shape_only;
  host.device = made.device.get();
  BlockPool::Options pool;
  pool.source = tier == Tier::kDevice ? MakeDeviceSource(*made.device).value() : MakeHostSource(host).value();
  pool.device = made.device.get();
  pool.hardening = made.device->CreateStream("hardening").value();
  pool.quarantine_bytes = quarantine;
  made.pool = std::make_unique<BlockPool>(std::move(pool));
  return made;
}

EmulatedOptions Deterministic(std::uint64_t seed = 1) {
  return {.schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1};
}
EmulatedOptions Threaded() { return {.kernel_threads = 1}; }
EmulatedOptions WithoutBytes() { return {.schedule = EmulatedSchedule::kShapeOnly, .kernel_threads = 1}; }

void ExpectAddsUp(BlockPool& pool) {
  const TierStatistics now = pool.Snapshot();
  ASSERT_EQ(now.live + now.waste + now.cached + now.pending, now.reserved);
}

// --- misuse
// -----------------------------------------------------------------------------------------------------------

class HardeningDeathTest : public testing::TestWithParam<Tier> {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  void GiveAndThenWrite(std::byte* at) {
    p_.Give(block_);
    p_.Settle();
    p_.Write(at);
    (void)p_.device->Synchronize();
  }
  std::string Pool() const { return std::string(TierName(GetParam())) + " pool"; }

  // 1000 bytes at offset 256 behind the front guard, 1024 with the rest of the unit, and another unit behind them.
  HardenedPool p_ = MakeHardened(GetParam(), Threaded());
  std::byte* const block_ = p_.Take(1000);
  const std::string name_ = "1000 bytes at offset 256 of the " + Pool() + " \\(activations\\)";
};
INSTANTIATE_TEST_SUITE_P(Tiers, HardeningDeathTest, testing::Values(Tier::kDevice, Tier::kPinned, Tier::kPageable),
                         [](const auto& tier) { return std::string(TierName(tier.param)); });

TEST_P(HardeningDeathTest, AWriteOneByteBehindTheEnd) {
  EXPECT_DEATH((p_.Write(block_ + 1000), p_.Give(block_), p_.pool->Trim()),
               "write behind the end of a block: " + name_ + "; byte 0 behind the end holds 0x41");
}

TEST_P(HardeningDeathTest, AWriteToTheLastByteOfTheRearGuard) {
  EXPECT_DEATH((p_.Write(block_ + 1024 + kUnit - 1), p_.Give(block_), p_.pool->Trim()),
               "write behind the end of a block: " + name_ + "; byte 279 behind the end holds 0x41");
}

TEST_P(HardeningDeathTest, AWriteOneByteBeforeTheBeginning) {
  EXPECT_DEATH((p_.Write(block_ - 1), p_.Give(block_), p_.pool->Trim()),
               "write before the beginning of a block: " + name_ + "; byte 0 before the beginning holds 0x41");
}

TEST_P(HardeningDeathTest, AWriteBehindTheEndIsFoundByALaterCall) {
  EXPECT_DEATH(
      {
        p_.Write(block_ + 1000);
        p_.Give(block_);
        for (;;) p_.Give(p_.Take(1));  // once the device has come so far
      },
      "write behind the end of a block: " + name_);
}

TEST_P(HardeningDeathTest, AWriteBehindTheEndIsFoundWhenThePoolGoes) {
  const std::string expected = "write behind the end of a block: " + name_ + "; byte 1 ";
  EXPECT_DEATH((p_.Write(block_ + 1001), p_.Give(block_), p_.DestroyPool()), expected);
  EXPECT_DEATH((p_.Write(block_ + 1001), p_.DestroyPool()), expected) << "never freed";
}

TEST_P(HardeningDeathTest, AWriteAfterFreeIsFoundWhenTheQuarantineIsFull) {
  const auto misuse = [this] {
    GiveAndThenWrite(block_ + 17);
    for (int i = 0; i < 1000; ++i) p_.Give(p_.Take(KiB(16)));
  };
  EXPECT_DEATH(misuse(), "write after free: " + name_ + ", which were free; byte 17 holds 0x41");
}

TEST_P(HardeningDeathTest, AWriteAfterFreeIsFoundWhenThePoolIsFull) {
  const auto misuse = [this] {
    GiveAndThenWrite(block_ + 999);
    while (p_.pool->Allocate(KiB(16), p_.stream).ok()) {
    }
  };
  EXPECT_DEATH(misuse(), "write after free: " + name_ + ", which were free; byte 999 holds 0x41");
}

TEST_P(HardeningDeathTest, AWriteAfterFreeIsFoundWhenThePoolGoes) {
  EXPECT_DEATH((GiveAndThenWrite(block_ - 3), p_.DestroyPool()),
               "write after free: " + name_ + ", which were free; byte -3 holds 0x41");
}

// Of a large block, which is read back in parts; by a copy that somebody enqueued too late.
TEST_P(HardeningDeathTest, ACopyIntoAFreedBlock) {
  std::byte* const large = p_.Take(MiB(2));
  const std::vector<std::byte> bytes(100, std::byte{7});
  const CopyRun run = {large + MiB(1) + 5, bytes.data(), bytes.size()};
  const auto copy_late = [&] {
    p_.Give(large);
    p_.Settle();
    (void)p_.device->Copy({&run, 1}, CopyDirection::kHostToDevice, p_.stream);
    p_.DestroyPool();
  };
  EXPECT_DEATH(copy_late(), "write after free: 2097152 bytes at offset 1792 of the " + Pool() +
                                " \\(activations\\), which were free; byte 1048581 holds 0x07");
}

TEST_P(HardeningDeathTest, ADoubleFree) {
  p_.Give(block_);
  EXPECT_DEATH(p_.Give(block_), "double free of 0x[0-9a-f]+: " + name_ + " are already free");
  EXPECT_DEATH((void)p_.pool->BlockBytes(block_), ": size of .*: " + name_ + " are already free");
  p_.pool->Trim();
  EXPECT_DEATH(p_.Give(block_), "double free of 0x[0-9a-f]+: offset 256 of this " + Pool() + " is already free");
}

TEST_P(HardeningDeathTest, APointerIntoABlock) {
  EXPECT_DEATH(p_.Give(block_ + 8), "free of .* is inside a block \\(interior pointer\\): byte 8 of " + name_);
  EXPECT_DEATH(p_.Give(block_ - kUnit), "interior pointer\\): byte -256 of " + name_) << "its front guard";
  EXPECT_DEATH(p_.Give(block_ + 1024), "interior pointer\\): byte 1024 of " + name_) << "its rear guard";
}

TEST_P(HardeningDeathTest, APointerThatWasNeverThePools) {
  HardenedPool other = MakeHardened(GetParam(), Threaded());
  std::byte* const elsewhere = other.Take(1000);
  const std::string expected = "free of 0x[0-9a-f]+, which is not from this " + Pool() + " \\(foreign pointer\\)";
  EXPECT_DEATH(p_.Give(elsewhere), expected);
  int on_the_stack = 0;
  EXPECT_DEATH(p_.Give(reinterpret_cast<std::byte*>(&on_the_stack)), expected);
  EXPECT_DEATH(p_.Give(nullptr), "foreign pointer");
}

// --- what is laid around and held back
// --------------------------------------------------------------------------------

class Hardened : public testing::TestWithParam<Tier> {};
INSTANTIATE_TEST_SUITE_P(Tiers, Hardened, testing::Values(Tier::kDevice, Tier::kPinned, Tier::kPageable),
                         [](const auto& tier) { return std::string(TierName(tier.param)); });

TEST_P(Hardened, FreshAndFreedBytesAndGuardsHoldTheirPatterns) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic());
  std::byte* const block = p.Take(1000);
  std::vector<std::byte> expected(1000, std::byte{0xCD});
  EXPECT_EQ(p.Read(block, 1000), expected);
  expected.assign(kUnit, std::byte{0xFB});
  EXPECT_EQ(p.Read(block - kUnit, kUnit), expected);
  EXPECT_EQ(p.Read(block + 1000 + 24, kUnit), expected);
  p.Give(block);
  p.Settle();
  expected.assign(1000, std::byte{0xEF});
  EXPECT_EQ(p.Read(block, 1000), expected);
}

TEST_P(Hardened, GuardsAndQuarantineAreWaste) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic());
  std::byte* const block = p.Take(1000);
  EXPECT_EQ(p.pool->statistics().live, 1000u);
  EXPECT_EQ(p.pool->statistics().waste, 24 + 2 * kUnit);
  EXPECT_EQ(p.pool->BlockBytes(block), 1024u);
  p.Give(block);
  EXPECT_EQ(p.pool->statistics().live, 0u);
  EXPECT_EQ(p.pool->statistics().waste, 1024 + 2 * kUnit);
  p.pool->CheckInvariants();
  ExpectAddsUp(*p.pool);
  p.pool->Trim();
  EXPECT_EQ(p.pool->statistics().waste, 0u);
}

TEST_P(Hardened, AFreedBlockIsHeldBackWhileTheQuarantineHasRoom) {
  constexpr std::size_t kBlock = KiB(64) - 2 * kUnit;
  HardenedPool p = MakeHardened(GetParam(), Deterministic(), MiB(4), KiB(256));
  std::byte* const first = p.Take(kBlock);
  p.Give(first);
  std::vector<std::byte*> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(p.Take(kBlock));
    EXPECT_NE(others.back(), first) << i;
  }
  for (std::byte* const other : others) p.Give(other);  // the fifth is one too many
  EXPECT_EQ(p.Take(kBlock), first);
  EXPECT_EQ(p.pool->statistics().waste, KiB(256) + 2 * kUnit);
}

TEST_P(Hardened, AFullPoolGetsWhatItNeedsOutOfTheQuarantine) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic(), MiB(1), MiB(1));
  for (int i = 0; i < 10; ++i) p.Give(p.Take(KiB(400)));
  const StatusOr<void*> all = p.pool->Allocate(MiB(1) - 2 * kUnit, p.stream);
  EXPECT_TRUE(all.ok());
  EXPECT_EQ(p.pool->LargestHole(), 0u);
  EXPECT_EQ(p.pool->Allocate(1, p.stream).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(p.pool->Allocate(~std::size_t{0}, p.stream).status().code(), StatusCode::kResourceExhausted);
  p.pool->Free(*all, {p.stream});
  p.pool->Trim();
  EXPECT_EQ(p.pool->LargestHole(), MiB(1) - 2 * kUnit);
}

// Where the largest free range is large enough, but not at the alignment.
TEST_P(Hardened, AnAlignedBlockComesOutOfTheQuarantineToo) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic(), KiB(64), KiB(64));
  p.Give(p.Take(KiB(32) - kUnit));  // with its guards 256 bytes more than 32 KiB
  const StatusOr<void*> block = p.pool->Allocate(KiB(27), p.stream, trace::Tag::kNone, 4096);
  EXPECT_TRUE(block.ok());
}

TEST_P(Hardened, AnAddressIsFoundInWhatWasAskedForOnly) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic());
  std::byte* const block = p.Take(1000);
  p.pool->SetOwner(block, 77);
  BlockPool::Place place;
  ASSERT_EQ(p.pool->Find(block + 999, &place), BlockPool::Part::kLive);
  EXPECT_EQ(place.in_block, 999u);
  EXPECT_EQ(place.offset, kUnit);
  EXPECT_EQ(place.bytes, 1000u);
  EXPECT_EQ(place.owner, 77u);
  EXPECT_EQ(place.tag, trace::Tag::kActivation);
  for (std::byte* const guard : {block - 1, block + 1000}) {
    EXPECT_EQ(p.pool->Find(guard, &place), BlockPool::Part::kFree);
  }
  p.Give(block);
  EXPECT_EQ(p.pool->Find(block, &place), BlockPool::Part::kFree);
}

// Work that was enqueued before the free may still run then, and may be waiting for the caller.
TEST_P(Hardened, AFreeWaitsForNoWork) {
  HardenedPool p = MakeHardened(GetParam(), Threaded());
  std::byte* const block = p.Take(1000);
  std::atomic<bool> open{false};
  HostKernel gate;
  gate.name = "gate";
  gate.run = [&open](KernelContext&) { open.wait(false); };
  ASSERT_TRUE(p.device->Launch(p.stream, std::move(gate)).ok());
  ASSERT_TRUE(p.device->Fill(block, 1, 1000, p.stream).ok());
  p.Give(block);
  p.Give(p.Take(100));
  open = true;
  open.notify_all();
  p.pool->Trim();
  EXPECT_EQ(p.pool->statistics().waste, 0u);
}

// A stream that used a block, or that it was for, may be gone when it is freed, and one that was not named may not.
TEST_P(Hardened, StreamsMayComeAndGo) {
  HardenedPool p = MakeHardened(GetParam(), Deterministic());
  for (int i = 0; i < 50; ++i) {
    const Stream passing = p.device->CreateStream("passing").value();
    void* const block = p.pool->Allocate(1000, passing).value();
    ASSERT_TRUE(p.device->Fill(block, 1, 1000, passing).ok());
    if (i % 2 == 0) {
      ASSERT_TRUE(p.device->DestroyStream(passing).ok());
    }
    p.pool->Free(block, {passing});
    void* const unnamed = p.pool->Allocate(1000, p.stream).value();
    p.pool->Free(unnamed, {});
  }
  p.pool->Trim();
  p.pool->CheckInvariants();
}

// --- against models
// ---------------------------------------------------------------------------------------------------

// A plain pool that is asked for guards too predicts every address.
TEST(HardenedModel, HandsOutTheAddressesOfAPlainPoolThatIsAskedForTheGuardsToo) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    HardenedPool p = MakeHardened(Tier::kDevice, WithoutBytes(), KiB(800), /*quarantine=*/0);
    DeviceOptions options;
    options.capacity = KiB(800);
    options.emulated = WithoutBytes();
    const std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
    BlockPool plain(BlockPool::Options{.source = MakeDeviceSource(*device).value(), .device = device.get()});
    const Stream stream = device->CreateStream("plain").value();
    std::byte* base = nullptr;
    const std::byte* plain_base = nullptr;
    struct Pair {
      std::byte* block;
      void* plain;
    };
    std::vector<Pair> live;
    int refused = 0;
    for (int i = 0; i < 100'000 / TIERLIB_RANDOM_SCALE; ++i) {
      if (live.empty() || random() % 100 < ((i / 1000) % 2 == 0 ? 60u : 45u)) {
        const std::size_t bytes = random() % 8 == 0 ? random() % KiB(64) : random() % 4000;
        const std::size_t alignment = random() % 4 == 0 ? kUnit << random() % 5 : kUnit;
        const StatusOr<void*> expected =
            plain.Allocate(alignment + bytes + kUnit, stream, trace::Tag::kNone, alignment);
        const StatusOr<void*> block = p.pool->Allocate(bytes, p.stream, trace::Tag::kNone, alignment);
        ASSERT_EQ(block.ok(), expected.ok()) << "operation " << i;
        refused += block.ok() ? 0 : 1;
        if (!block.ok()) continue;
        auto* const at = static_cast<std::byte*>(*block);
        const auto* const plain_at = static_cast<const std::byte*>(*expected);
        if (base == nullptr) {
          base = at - alignment;
          plain_base = plain_at;
        }
        ASSERT_EQ(at - base, plain_at - plain_base + static_cast<std::ptrdiff_t>(alignment)) << "operation " << i;
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0u);
        live.push_back({at, *expected});
      } else {
        std::swap(live[random() % live.size()], live.back());
        p.Give(live.back().block);
        plain.Free(live.back().plain, {stream});
        live.pop_back();
      }
      if (i % 64 == 0) p.pool->CheckInvariants();
      ExpectAddsUp(*p.pool);
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(refused, 0) << "the walk never filled the tier";
  }
}

// Blocks are written whole on random streams and read whole before they are freed; nothing is found that is not there.
void Churn(Tier tier, EmulatedOptions emulated, std::uint64_t seed, int operations) {
  SCOPED_TRACE(testing::Message() << TierName(tier) << ", seed " << seed);
  HardenedPool p = MakeHardened(tier, emulated, KiB(512), KiB(64));
  std::vector<Stream> streams = {p.stream, p.device->CreateStream("b").value(), p.device->CreateStream("c").value()};
  std::mt19937_64 random(seed);
  struct Live {
    std::byte* block;
    std::size_t bytes;
    std::uint8_t value;
    Stream stream;
  };
  std::vector<Live> live;
  std::atomic<int> wrong{0};
  for (int i = 0; i < operations; ++i) {
    if (live.empty() || random() % 100 < 52) {
      const Stream stream = streams[random() % 3];
      const std::size_t bytes = 1 + random() % 8000;
      const StatusOr<void*> block = p.pool->Allocate(bytes, stream, trace::Tag::kSaved);
      if (!block.ok()) continue;
      live.push_back({static_cast<std::byte*>(*block), bytes, static_cast<std::uint8_t>(random()), stream});
      ASSERT_TRUE(p.device->Fill(*block, live.back().value, bytes, stream).ok());
    } else {
      std::swap(live[random() % live.size()], live.back());
      const Live last = live.back();
      live.pop_back();
      HostKernel read;
      read.name = "read";
      read.accesses = {{last.block, last.bytes, false}};
      read.run = [&wrong, last](KernelContext&) {
        const std::byte expected{last.value};
        if (!std::all_of(last.block, last.block + last.bytes, [&](std::byte b) { return b == expected; })) ++wrong;
      };
      ASSERT_TRUE(p.device->Launch(last.stream, std::move(read)).ok());
      p.pool->Free(last.block, {last.stream});
    }
    if (i % 32 == 0) p.pool->CheckInvariants();
    ASSERT_NO_FATAL_FAILURE(ExpectAddsUp(*p.pool));
  }
  for (const Live& one : live) p.pool->Free(one.block, {one.stream});
  p.DestroyPool();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_TRUE(p.device->health().ok()) << p.device->health();
}

TEST_P(Hardened, FindsNothingInRandomProgramsThatAreRight) {
  for (std::uint64_t seed = 1; seed <= 20 / TIERLIB_RANDOM_SCALE + 1; ++seed) {
    EmulatedOptions strict = Deterministic(seed);
    strict.strict = strict.poison = seed % 2 == 0;
    Churn(GetParam(), strict, seed, 500);
  }
  Churn(GetParam(), Threaded(), 7, 10'000 / TIERLIB_RANDOM_SCALE);
}

}  // namespace
}  // namespace tierlib
