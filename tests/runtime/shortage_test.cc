// What is done where device memory is short, and what is said where that did not help.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

Options Small(std::uint64_t capacity, OffloadMode mode = OffloadMode::kMarshal,
              OffloadPolicy policy = OffloadPolicy::kFit) {
  Options options = DeterministicOptions(1, mode, policy);
  options.devices[0].capacity = capacity;
  return options;
}

StatusOr<Allocation> Ask(Program& p, std::uint64_t bytes, Holds holds = Holds::kTransient) {
  return p.runtime->Allocate(bytes, holds, p.compute(), "asked");
}

// A storage that is left to its saved value.
Saved Leave(Program& p, const Allocation& made, std::uint64_t bytes) {
  Saved saved = p.Pack(made.storage, WholeOf(bytes));
  p.Retire(made.storage);
  return saved;
}

// --- what it says ----------------------------------------------------------------------------------------------------

TEST(ShortMemory, SaysWhatTheLeastChangeIsAndThatIsEnough) {
  const auto fill = [](Program& p, std::vector<Allocation>* blocks) {
    for (const std::uint64_t kilobytes : {3, 5, 2, 4}) {
      blocks->push_back(p.runtime->Allocate(KiB(kilobytes), Holds::kTransient, p.compute(), "filler").value());
    }
    p.Retire((*blocks)[1].storage);
  };
  Program p(Small(KiB(15), OffloadMode::kOff));
  std::vector<Allocation> blocks;
  fill(p, &blocks);  // 3 KiB, a hole of 5, 2 KiB, 4 KiB, 1 unused
  EXPECT_FALSE(p.runtime->LastShortage(0).has_value());
  const Status refused = Ask(p, KiB(6)).status();
  ASSERT_EQ(refused.code(), StatusCode::kResourceExhausted);
  const Shortage shortage = p.runtime->LastShortage(0).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kFragmentation);
  EXPECT_EQ(shortage.asked, KiB(6));
  EXPECT_EQ(shortage.capacity, KiB(15));
  EXPECT_EQ(shortage.live, KiB(9));
  EXPECT_EQ(shortage.free, KiB(6));
  EXPECT_EQ(shortage.largest_hole, KiB(5));
  EXPECT_EQ(shortage.tag, "activations");
  ASSERT_EQ(shortage.tags.size(), 1u);
  EXPECT_EQ(shortage.tags[0].bytes, KiB(9));
  ASSERT_EQ(shortage.labels.size(), 1u);
  EXPECT_EQ(shortage.labels[0].name, "filler");
  EXPECT_EQ(shortage.more_capacity, KiB(5));
  EXPECT_EQ(shortage.less_live, KiB(2));
  EXPECT_EQ(shortage.least_change, KiB(2));
  EXPECT_EQ(refused.message(), shortage.ToString());
  for (const char* part : {"asked 6 KiB", "free 6 KiB of 15 KiB", "largest hole 5 KiB",
                           "it would have fitted with 5 KiB more capacity, or with 2 KiB of activations given up"}) {
    EXPECT_NE(refused.message().find(part), std::string_view::npos) << part << " in " << refused;
  }
  EXPECT_EQ(p.runtime->statistics().shortages.failures, 1u);
  p.Retire(blocks[2].storage);  // the 2 KiB
  EXPECT_TRUE(Ask(p, KiB(6)).ok());

  for (const std::uint64_t capacity : {KiB(20), KiB(20) - 256}) {
    Program other(Small(capacity, OffloadMode::kOff));
    std::vector<Allocation> same;
    fill(other, &same);
    EXPECT_EQ(Ask(other, KiB(6)).ok(), capacity == KiB(20));
  }
}

TEST(ShortMemory, TellsALeaseFromWhatCannotMove) {
  Program p(Small(KiB(16)));
  const Saved first = Leave(p, p.Make(Bytes(KiB(8), 1)), KiB(8));
  const Loaded lease = p.runtime->Unpack(first, p.compute()).value();
  const Allocation kept = p.Make(Bytes(KiB(4), 2));
  const Saved second = p.Pack(kept.storage, WholeOf(KiB(4)));
  ASSERT_EQ(Ask(p, KiB(8)).status().code(), StatusCode::kResourceExhausted);
  const Shortage shortage = p.runtime->LastShortage(0).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kCapacity);
  EXPECT_EQ(shortage.saved, KiB(12));
  EXPECT_EQ(shortage.leased, KiB(12));
}

TEST(ShortMemory, ARequestBeyondTheCapacityMovesNothing) {
  Program p(Small(KiB(16)));
  const Saved saved = Leave(p, p.Make(Bytes(KiB(8), 1)), KiB(8));
  for (const std::uint64_t bytes : {KiB(17), ~std::uint64_t{0}}) {
    EXPECT_EQ(Ask(p, bytes).status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(p.runtime->LastShortage(0)->less_live, 0u);
  }
  EXPECT_EQ(p.ledger().moved, 0u);
  EXPECT_TRUE(Ask(p, KiB(16)).ok());
  EXPECT_EQ(p.ledger().moved, KiB(8));
}

TEST(ShortMemory, ADeviceWithoutMemoryIsNotAFullTier) {
  Program p(Small(KiB(64), OffloadMode::kOff));
  p.memory = std::make_unique<ProgramMemory>(*p.device, KiB(48));
  const Allocation made = Ask(p, KiB(12)).value();
  const Status refused = Ask(p, KiB(8)).status();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  const Shortage shortage = p.runtime->LastShortage(0).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kDeviceMemory);
  EXPECT_EQ(shortage.reserved, KiB(12)) << "and 4 KiB are left";
  EXPECT_EQ(shortage.more_capacity, 0u) << "the capacity holds it";
  EXPECT_EQ(shortage.less_live, KiB(12));
  EXPECT_NE(refused.message().find("no memory left beyond the 12 KiB"), std::string_view::npos) << refused;
  p.Retire(made.storage);
  EXPECT_TRUE(Ask(p, KiB(8)).ok());
}

// --- what it does ----------------------------------------------------------------------------------------------------

// The program's tensors and tierlib's reloads share one cache. A tensor whose copy out is in flight is still in it.
TEST(ShortMemory, ReloadsWaitForMemoryThatCopiesStillKeep) {
  std::uint64_t waits = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Options options = DeterministicOptions(seed);
    std::unique_ptr<Program> p;
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [&p](std::size_t bytes, Stream stream) -> void* {
      p->OrderAfterKernels(stream);
      return p->memory->Take(bytes);
    };
    allocator->deallocate = [&p](void* data, std::size_t bytes, Stream stream) {
      EXPECT_TRUE(p->device->SynchronizeStream(stream).ok());
      p->memory->Give(data, bytes);
    };
    options.devices[0].allocator = std::move(allocator);
    p = std::make_unique<Program>(options);
    p->memory = std::make_unique<ProgramMemory>(*p->device, KiB(16));
    const Bytes bytes(KiB(8), static_cast<std::uint8_t>(seed));
    const Saved first = Leave(*p, p->Make(bytes), KiB(8));
    Adopted tensor = Adopt(*p, Bytes(KiB(12), 7));
    const Saved second = p->Pack(tensor.storage, WholeOf(KiB(12)), std::move(tensor.memory));
    p->Retire(tensor.storage);
    EXPECT_EQ(p->Unpack(first), bytes) << "seed " << seed;
    const Shortages done = p->runtime->statistics().shortages;
    EXPECT_EQ(done.failures, 0u);
    EXPECT_EQ(done.waits > 0, done.wait_ns > 0);
    waits += done.waits;
    EXPECT_TRUE(p->runtime->Drain().ok());
  }
  EXPECT_GT(waits, 0u);
}

// A tensor's end lets go of a saved value, as a framework's graph does: once its copy has ended there is room on the
// host.
TEST(ShortMemory, AFullHostIsLookedAtAgainBeforeAValueIsKept) {
  Options options = DeterministicOptions(1);
  options.pinned_limit = KiB(8);
  options.pageable_limit = 0;
  Program p(options);
  p.memory = std::make_unique<ProgramMemory>(*p.device, KiB(16));
  auto first = std::make_shared<Saved>(Leave(p, p.Make(Bytes(KiB(4), 1)), KiB(4)));
  Adopted tensor = Adopt(p, Bytes(KiB(4), 2));
  Keepalive owner(tensor.memory.get(), [memory = tensor.memory, saved = first](void*) mutable {
    saved.reset();
    memory.reset();
  });
  tensor.memory.reset();
  first.reset();
  const Saved second = p.Pack(tensor.storage, WholeOf(KiB(4)), std::move(owner));
  p.Retire(tensor.storage);
  ASSERT_TRUE(p.device->Synchronize().ok());
  const Saved third = Leave(p, p.Make(Bytes(KiB(4), 3)), KiB(4));
  EXPECT_EQ(p.ledger().kept, 0u);
  EXPECT_EQ(p.Unpack(second), Bytes(KiB(4), 2));
  EXPECT_EQ(p.Unpack(third), Bytes(KiB(4), 3));
}

// --- limits of tags --------------------------------------------------------------------------------------------------

Options WithLimit(Options options, std::string tag, std::uint64_t bytes, Tier tier = Tier::kDevice) {
  options.tag_limits.push_back({std::move(tag), tier, bytes});
  return options;
}

TEST(TagLimits, AreRefusedWhereTheyNameNoTagOrOneTwice) {
  const Status unknown = Runtime::Create(WithLimit(Options(), "activation", MiB(1))).status();
  EXPECT_EQ(unknown.code(), StatusCode::kInvalidArgument);
  for (const char* part : {"'activation'", "parameters", "activations", "reloads", "workspace"}) {
    EXPECT_NE(unknown.message().find(part), std::string_view::npos) << unknown;
  }
  const Options once =
      WithLimit(WithLimit(Options(), "saved", MiB(1), Tier::kPinned), "saved", MiB(1), Tier::kPageable);
  EXPECT_TRUE(Runtime::Create(once).ok());
  const Status twice = Runtime::Create(WithLimit(once, "saved", MiB(2), Tier::kPinned)).status();
  EXPECT_EQ(twice.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(twice.message().find("saved is limited twice in the pinned tier"), std::string_view::npos) << twice;
}

TEST(TagLimits, HoldForTheirTagAloneAndAreNamed) {
  Program p(WithLimit(Small(KiB(64)), "activations", KiB(16)));
  const Allocation held = p.Make(Bytes(KiB(10), 1));
  const Status refused = Ask(p, KiB(8)).status();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("the limit of 16 KiB for activations is reached"), std::string_view::npos)
      << refused;
  const Shortage shortage = p.runtime->LastShortage(0).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kTagLimit);
  EXPECT_EQ(shortage.tag_limit, KiB(16));
  EXPECT_EQ(shortage.more_capacity, KiB(2));
  EXPECT_EQ(shortage.less_live, KiB(2));
  EXPECT_TRUE(Ask(p, KiB(8), Holds::kPersistent).ok()) << "parameters have no limit";
  EXPECT_TRUE(Ask(p, KiB(6)).ok());
  EXPECT_EQ(Ask(p, 1).status().code(), StatusCode::kResourceExhausted);
  p.Retire(held.storage);
  EXPECT_TRUE(Ask(p, KiB(8)).ok());
}

TEST(TagLimits, WhatIsHeldUnderTheTagAndMayMoveMoves) {
  Program p(WithLimit(Small(KiB(64)), "activations", KiB(16)));
  const Bytes bytes(KiB(10), 1);
  const Saved saved = Leave(p, p.Make(bytes), KiB(10));
  EXPECT_EQ(p.ledger().moved, 0u);
  EXPECT_TRUE(Ask(p, KiB(12)).ok());
  EXPECT_EQ(p.ledger().moved, KiB(10));
  EXPECT_EQ(p.Unpack(saved), bytes) << "reloads have no limit";
  EXPECT_EQ(p.runtime->statistics().shortages.evictions, 1u);
}

TEST(TagLimits, WhatIsHeldUnderAnotherTagStays) {
  Program p(WithLimit(Small(KiB(64)), "activations", KiB(16)));
  const Bytes bytes(KiB(10), 1);
  const Saved first = Leave(p, p.Make(bytes), KiB(10));
  p.Retire(Ask(p, KiB(12)).value().storage);  // which sends the first away
  EXPECT_EQ(p.Unpack(first), bytes);          // from here on a reload
  const Saved second = Leave(p, p.Make(bytes), KiB(10));
  const std::uint64_t evictions = p.runtime->statistics().shortages.evictions;
  EXPECT_TRUE(Ask(p, KiB(12)).ok());
  EXPECT_EQ(p.runtime->statistics().shortages.evictions, evictions + 1);
  const std::uint64_t moved_in = p.ledger().moved_in;
  EXPECT_EQ(p.Unpack(first), bytes);
  EXPECT_EQ(p.ledger().moved_in, moved_in) << "it was let go for an activation that it makes no room for";
  EXPECT_EQ(p.Unpack(second), bytes);
}

TEST(TagLimits, OfReloadsOneMakesRoomForTheNext) {
  Program p(WithLimit(Small(KiB(64), OffloadMode::kMarshal, OffloadPolicy::kAll), "reloads", KiB(8)));
  const Bytes bytes(KiB(6), 1);
  const Saved first = Leave(p, p.Make(bytes), KiB(6));
  const Saved second = Leave(p, p.Make(bytes), KiB(6));
  EXPECT_EQ(p.Unpack(first), bytes);
  const Loaded lease = p.runtime->Unpack(second, p.compute()).value();
  EXPECT_EQ(p.runtime->Unpack(first, p.compute()).status().code(), StatusCode::kResourceExhausted) << "the lease holds";
  EXPECT_EQ(p.runtime->LastShortage(0)->tag, "reloads");
}

TEST(TagLimits, OfPinnedMemoryLeadToPageableMemory) {
  Program p(WithLimit(Small(KiB(64), OffloadMode::kMarshal, OffloadPolicy::kAll), "saved", KiB(8), Tier::kPinned));
  const Saved first = Leave(p, p.Make(Bytes(KiB(6), 1)), KiB(6));
  const Saved second = Leave(p, p.Make(Bytes(KiB(6), 2)), KiB(6));
  EXPECT_EQ(p.runtime->statistics().pinned.live, KiB(6));
  EXPECT_EQ(p.runtime->statistics().pageable.live, KiB(6));
}

}  // namespace
}  // namespace tierlib
