// Runtime::OwnerOf: who has an address, wherever the bytes of a storage are.
#include <cstdint>
#include <string_view>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 5000;
constexpr std::uint64_t kRounded = 5120;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

Owner At(const Program& p, const void* data, std::uint64_t offset = 0) {
  const StatusOr<Owner> owner = p.runtime->OwnerOf(static_cast<const char*>(data) + offset);
  EXPECT_TRUE(owner.ok()) << owner.status();
  return owner.ok() ? *owner : Owner();
}

// Where the pool's next block will be, as nobody else takes one.
const void* NextBlock(Program& p, BlockPool& pool) {
  void* const block = pool.Allocate(1, p.compute()).value();
  pool.Free(block, {p.compute()});
  return block;
}

TEST(OwnerOf, ABlockOfTheDeviceByAnyAddressInIt) {
  Program p(DeterministicOptions(1));
  const Allocation first = p.Make(Pattern(1));
  const Allocation x = p.Make(Pattern(2));
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, kSize / 2, kSize - 1, kRounded - 1}) {
    const Owner owner = At(p, x.data, offset);
    EXPECT_EQ(owner.tier, Tier::kDevice);
    EXPECT_EQ(owner.state, BlockState::kLive);
    EXPECT_EQ(owner.device, 0);
    EXPECT_EQ(owner.storage, x.storage);
    EXPECT_EQ(owner.offset, offset);
    EXPECT_EQ(owner.block_offset, kRounded);
    EXPECT_EQ(owner.block_bytes, kRounded);
    EXPECT_EQ(owner.tag, std::string_view("activations"));
  }
  EXPECT_EQ(At(p, first.data, kRounded - 1).storage, first.storage);
  EXPECT_EQ(At(p, first.data, kRounded).storage, x.storage);
}

TEST(OwnerOf, WithoutAPoolABlockIsFoundByAnyAddressInItUntilItIsFreed) {
  Options options = DeterministicOptions(1);
  options.devices[0].backing = DeviceBacking::kMallocAsync;
  Program p(options);
  const Allocation first = p.Make(Pattern(1));
  const Allocation x = p.Make(Pattern(2));
  for (const std::uint64_t offset : {std::uint64_t{0}, kSize / 2, kRounded - 1}) {
    const Owner owner = At(p, x.data, offset);
    EXPECT_EQ(owner.tier, Tier::kDevice);
    EXPECT_EQ(owner.state, BlockState::kLive);
    EXPECT_EQ(owner.storage, x.storage);
    EXPECT_EQ(owner.offset, offset);
    EXPECT_EQ(owner.block_bytes, kRounded);
    EXPECT_EQ(owner.tag, std::string_view("activations"));
  }
  EXPECT_EQ(At(p, first.data, kRounded - 1).storage, first.storage);
  const Owner host = At(p, NextBlock(p, *p.runtime->core()->tier(0).pinned));
  EXPECT_EQ(host.tier, Tier::kPinned);
  EXPECT_NE(host.pool, At(p, x.data).pool);
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->OwnerOf(x.data).status().code(), StatusCode::kNotFound);
}

TEST(OwnerOf, NobodyHasAnAddressThatNoPoolHas) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const int mine = 0;
  for (const void* address : {static_cast<const void*>(&mine), static_cast<const void*>(nullptr)}) {
    EXPECT_EQ(p.runtime->OwnerOf(address).status().code(), StatusCode::kNotFound);
  }
  EXPECT_EQ(p.runtime->OwnerOf(static_cast<const char*>(x.data) - 1).status().code(), StatusCode::kNotFound);
}

TEST(OwnerOf, AFreedBlockHasNoStorageAndItsSuccessorHasTheNextGeneration) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Allocation beyond = p.Make(Pattern(2));
  p.Retire(x.storage);
  const Owner free = At(p, x.data, 7);
  EXPECT_EQ(free.state, BlockState::kFree);
  EXPECT_EQ(free.tier, Tier::kDevice);
  EXPECT_FALSE(free.storage.valid());
  EXPECT_EQ(free.block_bytes, 0u);
  EXPECT_EQ(At(p, beyond.data).storage, beyond.storage);
  const Allocation again = p.Make(Pattern(3));
  ASSERT_EQ(again.data, x.data);
  EXPECT_EQ(At(p, x.data).storage, again.storage);
  EXPECT_EQ(again.storage.slot, x.storage.slot);
  EXPECT_EQ(At(p, x.data).storage.generation, x.storage.generation + 1);
}

TEST(OwnerOf, SavedBytesOnTheHostAreTheirStoragesAlsoOnceThatIsRetired) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Program p(DeterministicOptions(1, mode));
    const void* const host = NextBlock(p, *p.runtime->core()->tier(0).pinned);
    const Allocation other = p.Make(Pattern(1));
    const Allocation x = p.Make(Pattern(2));
    Saved saved = p.Pack(x.storage, WholeOf(kSize));
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    const Owner owner = At(p, host, kSize - 1);
    EXPECT_EQ(owner.tier, Tier::kPinned);
    EXPECT_EQ(owner.state, BlockState::kLive);
    EXPECT_EQ(owner.storage, x.storage);
    EXPECT_EQ(owner.offset, kSize - 1);
    EXPECT_EQ(owner.tag, std::string_view("saved"));
    EXPECT_NE(owner.pool, At(p, other.data).pool);
    EXPECT_EQ(At(p, host, kRounded).state, BlockState::kFree);
    saved = Saved();
    EXPECT_EQ(At(p, host, kSize - 1).state, BlockState::kFree);
  }
}

TEST(OwnerOf, PageableMemoryWhereThePinnedIsFull) {
  Options options = DeterministicOptions(1);
  options.pinned_limit = 4096;  // smaller than the value
  Program p(options);
  const void* const host = NextBlock(p, *p.runtime->core()->tier(0).pageable);
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  EXPECT_EQ(At(p, host).tier, Tier::kPageable);
  EXPECT_EQ(At(p, host).storage, x.storage);
  EXPECT_EQ(At(p, host).numa_node, -1);
}

TEST(OwnerOf, BytesThatCameBackAreTheirStorages) {
  const Layout columns = [] {
    Layout layout = WholeOf(kSize);
    layout.sizes = {50, 50};
    layout.strides = {1, 100};
    return layout;
  }();
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (const Layout& layout : {WholeOf(kSize), columns}) {
      Program p(DeterministicOptions(1, mode));
      const Allocation x = p.Make(Pattern(1));
      const Saved saved = p.Pack(x.storage, layout);
      p.Retire(x.storage);
      const Loaded loaded = p.runtime->Unpack(saved, p.compute()).value();
      const Owner owner = At(p, loaded.origin(), 49);
      EXPECT_EQ(owner.state, BlockState::kLive);
      EXPECT_EQ(owner.storage, x.storage);
      EXPECT_EQ(owner.tag, std::string_view("reloads"));
      EXPECT_EQ(owner.offset, 49u);
    }
  }
}

TEST(OwnerOf, BytesThatWereMadeAgainAreTheStoragesThatTheyAreMadeFor) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved source = p.Pack(x.storage, WholeOf(kSize));
  const Saved derived = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(x.storage);
  p.Retire(y.storage);
  const Loaded loaded = p.runtime->Unpack(derived, p.compute()).value();
  ASSERT_EQ(p.ledger().replayed, kSize);
  EXPECT_EQ(At(p, loaded.origin()).storage, y.storage);
  const Loaded from = p.runtime->Unpack(source, p.compute()).value();
  EXPECT_EQ(At(p, from.origin()).storage, x.storage);
}

TEST(OwnerOf, AdoptedMemoryFromRegisterToRetire) {
  Program p(DeterministicOptions(1), /*with_memory=*/true);
  const Adopted x = Adopt(p, Pattern(1));
  for (const std::uint64_t offset : {std::uint64_t{0}, kSize - 1}) {
    const Owner owner = At(p, x.memory.get(), offset);
    EXPECT_EQ(owner.state, BlockState::kAdopted);
    EXPECT_EQ(owner.tier, Tier::kDevice);
    EXPECT_EQ(owner.storage, x.storage);
    EXPECT_EQ(owner.offset, offset);
    EXPECT_EQ(owner.block_bytes, kSize);
    EXPECT_EQ(owner.pool, kNoPool);
  }
  const auto code_at = [&](std::uint64_t offset) {
    return p.runtime->OwnerOf(static_cast<const char*>(x.memory.get()) + offset).status().code();
  };
  EXPECT_EQ(code_at(kSize), StatusCode::kNotFound);
  p.Retire(x.storage);
  EXPECT_EQ(code_at(0), StatusCode::kNotFound);
}

TEST(OwnerOf, OfAdoptedRangesThatOverlapTheOneThatStartsLast) {
  Program p(DeterministicOptions(1), /*with_memory=*/true);
  const Keepalive memory = p.TakeMemory(kSize);
  char* const data = static_cast<char*>(memory.get());
  const auto adopt = [&](std::uint64_t begin, std::uint64_t bytes) {
    return p.runtime->Register(data + begin, bytes, 0, Holds::kPersistent, "").value();
  };
  const StorageId whole = adopt(0, kSize);
  const StorageId part = adopt(100, 200);
  const StorageId in_part = adopt(120, 10);
  EXPECT_EQ(At(p, data, 99).storage, whole);
  EXPECT_EQ(At(p, data, 100).storage, part);
  EXPECT_EQ(At(p, data, 125).storage, in_part);
  EXPECT_EQ(At(p, data, 130).storage, part);
  EXPECT_EQ(At(p, data, kSize - 1).storage, whole);
  EXPECT_EQ(At(p, data, kSize - 1).offset, kSize - 1);
  p.Retire(part);
  EXPECT_EQ(At(p, data, 130).storage, whole);
  p.Retire(whole);
  EXPECT_EQ(At(p, data, 129).storage, in_part);
  EXPECT_FALSE(p.runtime->OwnerOf(data + 130).ok());
}

}  // namespace
}  // namespace tierlib
