// Runtime::Recomputes: values that the program computes again, when that is chosen, and what may go wrong meanwhile.
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t bytes = kSize) {
  Random random(seed);
  return RandomBytes(random, bytes);
}

Options RacesTold(OffloadPolicy policy = OffloadPolicy::kAll, OffloadMode mode = OffloadMode::kMarshal) {
  Options options = DeterministicOptions(3, mode, policy);
  options.devices[0].emulated.find_races = true;
  return options;
}

// Writes `bytes` where it is told to, and counts.
Recompute Writes(Program& p, const Bytes& bytes, int* calls = nullptr) {
  Recompute recompute;
  recompute.name = "writes";
  recompute.function = [&p, bytes, calls](const RecomputeArguments& a) {
    if (calls != nullptr) ++*calls;
    const auto begin = static_cast<std::size_t>(a.layout.offset_bytes);
    const auto count = static_cast<std::size_t>(a.layout.logical_bytes());
    p.Write(static_cast<std::uint8_t*>(a.destination) + begin, Slice(bytes, begin, begin + count), a.stream);
    return OkStatus();
  };
  return recompute;
}

Recompute Always(Recompute recompute) {
  recompute.always = true;
  return recompute;
}

// A value that was packed, and whose storage is retired.
Saved PackAndRetire(Program& p, const Allocation& x, const Layout& layout = WholeOf(kSize)) {
  Saved saved = p.Pack(x.storage, layout);
  p.Retire(x.storage);
  return saved;
}

Saved PackRecomputed(Program& p, const Bytes& bytes, Recompute recompute) {
  const Allocation x = p.Make(bytes);
  EXPECT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(bytes.size())}, std::move(recompute)).ok());
  return PackAndRetire(p, x, WholeOf(bytes.size()));
}

void ExpectNothingHeld(Program& p) {
  ASSERT_TRUE(p.runtime->Drain().ok());
  const Statistics statistics = p.runtime->statistics();
  EXPECT_EQ(statistics.device.live, 0u);
  EXPECT_EQ(statistics.pinned.live + statistics.pageable.live, 0u);
  ExpectBookedOnce(statistics.total);
  EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
}

// Y was made from X, can be made back into X, and is computed from X: each may stand for the other, not both at once.
TEST(Recompute, WhatOthersAreMadeFromIsMoved) {
  Program p(RacesTold(OffloadPolicy::kFit));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  Saved sx = p.Pack(x.storage, WholeOf(kSize));
  Saved sy = p.Pack(y.storage, WholeOf(kSize));
  auto input = std::make_shared<Saved>(sx);
  Recompute recompute;
  recompute.always = true;
  recompute.function = [&p, input](const RecomputeArguments& a) -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const Loaded from, p.runtime->Unpack(*input, a.stream));
    p.Launch(a.stream, {{from.origin(), kSize, false}, {a.destination, kSize, true}},
             [to = a.destination, from = from.origin()] { std::memcpy(to, from, kSize); });
    return OkStatus();
  };
  ASSERT_TRUE(p.runtime->Recomputes({y.storage, WholeOf(kSize)}, recompute).ok());
  p.Retire(x.storage);
  p.Retire(y.storage);
  ASSERT_GT(p.runtime->Reclaim(0, 2 * kSize).value(), 0u);
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  EXPECT_EQ(p.Unpack(sx), Pattern(1));
  recompute = Recompute();
  *input = sx = sy = Saved();
  ExpectNothingHeld(p);
}

TEST(Recompute, AClaimedValueIsNeitherCopiedNorKept) {
  for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
    Options options = RacesTold(policy);
    options.minimum_bytes = 2 * kSize;  // which would keep it
    Program p(options);
    int calls = 0;
    const Allocation x = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, Always(Writes(p, Pattern(1), &calls))).ok());
    Saved again = p.Pack(x.storage, WholeOf(kSize));
    Saved saved = PackAndRetire(p, x);
    EXPECT_EQ(p.runtime->statistics().device.live, 0u);
    EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
    Ledger l = p.ledger();
    EXPECT_EQ(l.avoided_recompute, kSize);
    EXPECT_EQ(l.avoided_identity, kSize);
    EXPECT_EQ(l.moved + l.kept, 0u);
    EXPECT_EQ(l.freed, kSize);
    EXPECT_EQ(calls, 0);
    {
      const Loaded first = p.runtime->Unpack(saved, p.compute()).value();
      const Loaded second = p.runtime->Unpack(saved, p.other()).value();
      EXPECT_EQ(p.Read(second, p.other()), Pattern(1)) << "the other stream waits for what the first computes";
      EXPECT_EQ(p.Read(first, p.compute()), Pattern(1));
      EXPECT_EQ(calls, 1) << "computed once, shared";
    }
    ASSERT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize);
    EXPECT_EQ(p.Unpack(saved), Pattern(1)) << "a graph that is kept and walked again";
    EXPECT_EQ(calls, 2);
    l = p.ledger();
    EXPECT_EQ(l.recomputes, 2u);
    EXPECT_EQ(l.recomputed, 2 * kSize);
    EXPECT_EQ(l.replayed + l.moved + l.moved_in, 0u);
    saved = again = Saved();
    ExpectNothingHeld(p);
  }
}

TEST(Recompute, EachByteHasOneOwner) {
  Program p(RacesTold());
  int calls = 0;
  std::vector<Saved> saved;
  const Allocation x = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Recomputes({x.storage, PartOf(0, 3072)}, Always(Writes(p, Pattern(1), &calls))).ok());
  saved.push_back(p.Pack(x.storage, PartOf(0, 2048)));     // the region's
  saved.push_back(p.Pack(x.storage, PartOf(1024, 3072)));  // the offload side's
  EXPECT_EQ(p.ledger().avoided_recompute, 2048u);
  EXPECT_EQ(p.ledger().avoided_identity, 2048u) << "of the same snapshot, which gives it too";
  EXPECT_EQ(p.ledger().moved, 0u);
  saved.push_back(p.Pack(x.storage, PartOf(2048, 4096)));  // more than can be computed
  EXPECT_EQ(p.ledger().moved, 2048u);
  // y is on the host before anybody claims it: there it stays.
  const Allocation y = p.Make(Pattern(2));
  saved.push_back(p.Pack(y.storage, WholeOf(kSize)));
  ASSERT_TRUE(p.runtime->Recomputes({y.storage, WholeOf(kSize)}, Always(Writes(p, Pattern(2), &calls))).ok());
  saved.push_back(p.Pack(y.storage, WholeOf(kSize)));
  EXPECT_EQ(p.ledger().moved, 2048u + kSize);
  EXPECT_EQ(p.ledger().avoided_recompute, 2048u);
  p.Retire(x.storage);
  p.Retire(y.storage);
  const Loaded held = p.runtime->Unpack(saved[1], p.compute()).value();
  EXPECT_EQ(p.Unpack(saved[0]), Slice(Pattern(1), 0, 2048));
  EXPECT_EQ(p.Read(held, p.compute()), Slice(Pattern(1), 1024, 3072));
  EXPECT_EQ(p.Unpack(saved[2]), Slice(Pattern(1), 2048, 4096));
  EXPECT_EQ(p.Unpack(saved[3]), Pattern(2));
  EXPECT_EQ(p.Unpack(saved[4]), Pattern(2));
  EXPECT_EQ(calls, 1);
  ExpectBookedOnce(p.ledger());
}

TEST(Recompute, IsChosenWhereItIsCheaperThanTheCopies) {
  struct Row {
    const char* what;
    std::uint64_t cost_ns;
    double link;
    std::uint64_t recomputed;
  };
  // A copy out and in of 4096 bytes at 4.096 GB/s takes 2 us.
  for (const Row& row : std::vector<Row>{{"cheaper", 1999, 4.096e9, kSize},
                                         {"as dear", 2000, 4.096e9, 0},
                                         {"dearer", 9000, 4.096e9, 0},
                                         {"a cost that is not known", 0, 4.096e9, 0},
                                         {"a link that is not known", 1, 0, 0}}) {
    SCOPED_TRACE(row.what);
    Options options = RacesTold();
    options.devices[0].copy_bytes_per_s = row.link;
    Program p(options);
    Recompute recompute = Writes(p, Pattern(1));
    recompute.cost_ns = row.cost_ns;
    const Saved saved = PackRecomputed(p, Pattern(1), std::move(recompute));
    EXPECT_EQ(p.ledger().avoided_recompute, row.recomputed);
    EXPECT_EQ(p.ledger().moved, kSize - row.recomputed);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    ExpectBookedOnce(p.ledger());
  }
}

TEST(Recompute, TakesThePlaceOfACopyThatTheHostHasNoRoomFor) {
  for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
    Options options = RacesTold(policy);
    options.pinned_limit = kSize;
    options.pageable_limit = 0;
    Program p(options);
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 3; ++i) {
      if (i < 2) saved.push_back(PackRecomputed(p, Pattern(i), Writes(p, Pattern(i))));
      if (i == 2) saved.push_back(PackAndRetire(p, p.Make(Pattern(i))));  // which nobody can compute
    }
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
    const Statistics now = p.runtime->statistics();
    EXPECT_EQ(now.total.moved, kSize);
    EXPECT_EQ(now.total.avoided_recompute, kSize);
    EXPECT_EQ(now.total.kept, policy == OffloadPolicy::kAll ? kSize : 3 * kSize);
    EXPECT_EQ(now.total.reconsidered, policy == OffloadPolicy::kAll ? 0 : 2 * kSize);
    EXPECT_EQ(now.device.live, kSize) << "of the third alone";
    EXPECT_EQ(now.fallbacks.to_recompute, 1u);
    EXPECT_EQ(now.fallbacks.to_recompute_bytes, kSize);
    EXPECT_EQ(now.fallbacks.refused, 1u);
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
    saved.clear();
    ExpectNothingHeld(p);
  }
}

TEST(Recompute, WhatIsToldOfAKeptValueCountsOnceMemoryIsShort) {
  Program p(RacesTold(OffloadPolicy::kFit));
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  EXPECT_EQ(p.ledger().kept, kSize);
  ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, Always(Writes(p, Pattern(1)))).ok());
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize);
  EXPECT_EQ(p.ledger().moved, 0u);
  EXPECT_EQ(p.ledger().avoided_recompute, kSize);
  EXPECT_EQ(p.ledger().reconsidered, kSize);
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  ExpectBookedOnce(p.ledger());
}

TEST(Recompute, AFunctionThatFailsIsCalledAgain) {
  Program p(RacesTold());
  for (const StatusCode code : {StatusCode::kUnavailable, StatusCode::kInternal, StatusCode::kResourceExhausted}) {
    int failures = 1;
    Recompute recompute = Always(Writes(p, Pattern(1)));
    recompute.function = [&failures, code, write = recompute.function](const RecomputeArguments& a) {
      return failures-- > 0 ? Status(code, "not now") : write(a);
    };
    const Saved saved = PackRecomputed(p, Pattern(1), std::move(recompute));
    const Status status = p.runtime->Unpack(saved, p.compute()).status();
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(status.ToString(), HasSubstr("storage "));
    EXPECT_THAT(status.ToString(), HasSubstr("'saved': recompute 'writes': not now"));
    EXPECT_EQ(p.runtime->statistics().device.live, 0u);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
  }
  ExpectNothingHeld(p);
}

// A checkpointed region: its input is on the host, its values are computed one from the other.
TEST(Recompute, MayUnpackOtherValuesAndPackMore) {
  Program p(RacesTold());
  const auto inverse_of = [&p](const Saved& input, Saved* packed) {
    return [&p, input, packed](const RecomputeArguments& a) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, p.runtime->Unpack(input, a.stream));
      const void* const from = loaded.origin();
      p.Launch(a.stream, {{from, kSize, false}, {a.destination, kSize, true}}, [from, to = a.destination] {
        for (std::size_t i = 0; i < kSize; ++i) {
          static_cast<std::uint8_t*>(to)[i] = static_cast<std::uint8_t>(~static_cast<const std::uint8_t*>(from)[i]);
        }
      });
      if (packed != nullptr) *packed = PackAndRetire(p, p.Make(Pattern(7)));
      return OkStatus();
    };
  };
  const Bytes bytes = Pattern(1);
  Bytes inverse = bytes;
  for (std::uint8_t& byte : inverse) byte = static_cast<std::uint8_t>(~byte);
  Saved nested;
  Saved input = PackAndRetire(p, p.Make(bytes));
  Saved hidden = PackRecomputed(p, inverse, {inverse_of(input, &nested), "hidden", 0, true});
  Saved output = PackRecomputed(p, bytes, {inverse_of(hidden, nullptr), "output", 0, true});
  input = Saved();
  EXPECT_EQ(p.Unpack(output), bytes) << "which computes what it is computed from first";
  EXPECT_EQ(p.ledger().recomputes, 2u);
  EXPECT_EQ(p.Unpack(hidden), inverse);
  EXPECT_EQ(p.ledger().recomputes, 2u);
  EXPECT_EQ(p.Unpack(nested), Pattern(7));
  EXPECT_EQ(p.ledger().moved, 2 * kSize) << "the input, and what was packed on the way: as any value";
  hidden = nested = Saved();
  EXPECT_GT(p.runtime->statistics().pinned.live, 0u) << "the input is needed as long as the output";
  output = Saved();
  ExpectNothingHeld(p);
}

TEST(Recompute, ThatNeedsItselfIsAnError) {
  Program p(RacesTold());
  Saved first, second;
  const auto needs = [&p](const Saved& other) {
    return [&p, &other](const RecomputeArguments& a) { return p.runtime->Unpack(other, a.stream).status(); };
  };
  first = PackRecomputed(p, Pattern(1), {needs(second), "first", 0, true});
  second = PackRecomputed(p, Pattern(2), {needs(first), "second", 0, true});
  const Status status = p.runtime->Unpack(first, p.compute()).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr("recompute 'first': "));
  EXPECT_THAT(status.ToString(), HasSubstr("recompute 'second': "));
  EXPECT_THAT(status.ToString(), HasSubstr("it needs the value that it computes"));
  first = second = Saved();
  ExpectNothingHeld(p);
}

// What the function owns lives as long as somebody may ask, and goes without the lock.
TEST(Recompute, WhatAFunctionOwnsGoesWithTheLastThatNeedsIt) {
  Program p(RacesTold());
  std::weak_ptr<int> alive;
  const auto owning = [&] {
    const std::shared_ptr<int> owned(new int, [&p](int* gone) {
      (void)p.runtime->statistics();  // takes the lock
      delete gone;
    });
    alive = owned;
    Recompute recompute = Always(Writes(p, Pattern(1)));
    recompute.function = [owned, write = recompute.function](const RecomputeArguments& a) { return write(a); };
    return recompute;
  };
  {  // a graph that is dropped without backward
    Saved saved = PackRecomputed(p, Pattern(1), owning());
    EXPECT_FALSE(alive.expired());
    saved = Saved();
    EXPECT_TRUE(alive.expired());
    ExpectNothingHeld(p);
  }
  {  // told, and never packed
    const Allocation x = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, owning()).ok());
    EXPECT_FALSE(alive.expired());
    p.Retire(x.storage);
    EXPECT_TRUE(alive.expired());
  }
  {  // written
    const Allocation x = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, owning()).ok());
    p.BeginWrite(x.storage);
    EXPECT_TRUE(alive.expired());
    p.Retire(x.storage);
  }
  {  // copied in spite of it
    Recompute recompute = owning();
    recompute.always = false;
    const Saved saved = PackRecomputed(p, Pattern(1), std::move(recompute));
    recompute = Recompute();
    EXPECT_TRUE(alive.expired());
    EXPECT_EQ(p.ledger().moved, kSize);
  }
}

// A function that owns a handle, and a storage that is never retired: the runtime goes all the same.
TEST(Recompute, AStorageThatStaysKeepsNoRuntimeAlive) {
  Program p(RacesTold());
  const Allocation x = p.Make(Pattern(1));
  Saved input = PackAndRetire(p, p.Make(Pattern(2)));
  Recompute recompute = Writes(p, Pattern(1));
  recompute.function = [input, write = recompute.function](const RecomputeArguments& a) { return write(a); };
  ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, std::move(recompute)).ok());
  recompute = Recompute();
  const std::weak_ptr<SavedStore> store = p.runtime->core()->store();
  p.runtime.reset();
  EXPECT_FALSE(store.expired()) << "by the handle here";
  input = Saved();
  EXPECT_TRUE(store.expired());
}

TEST(Recompute, AWriteIsTheErrorThatItIsWithoutOffload) {
  Program p(RacesTold());
  const Allocation x = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Recomputes({x.storage, WholeOf(kSize)}, Always(Writes(p, Pattern(1)))).ok());
  const Saved before = p.Pack(x.storage, WholeOf(kSize));
  p.BeginWrite(x.storage);
  p.Write(x.data, Pattern(2), p.compute());
  const Saved after = PackAndRetire(p, x);
  EXPECT_EQ(p.runtime->Unpack(before, p.compute()).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(p.ledger().moved, kSize) << "nothing was told of the new content";
  EXPECT_EQ(p.Unpack(after), Pattern(2));
  ExpectBookedOnce(p.ledger());
}

TEST(Recompute, AnotherResultThanWhatWasPackedIsFound) {
  Options options = RacesTold();
  options.checksums = true;
  Program p(options);
  const Saved good = PackRecomputed(p, Pattern(1), Always(Writes(p, Pattern(1))));
  const Saved bad = PackRecomputed(p, Pattern(2), Always(Writes(p, Pattern(1))));
  EXPECT_EQ(p.Unpack(good), Pattern(1));
  const Status status = p.runtime->Unpack(bad, p.compute()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("what the program computed again is not what was saved"));
  EXPECT_EQ(p.runtime->Unpack(bad, p.compute()).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(p.Unpack(good), Pattern(1));
}

TEST(Recompute, OtherModesAndPersistentStoragesAreAsTheyWere) {
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Program p(RacesTold(OffloadPolicy::kAll, mode));
    int calls = 0;
    const Allocation w = p.Make(Pattern(1), Holds::kPersistent);
    const Allocation x = p.Make(Pattern(2), mode == OffloadMode::kMarshal ? Holds::kPersistent : Holds::kTransient);
    std::vector<Saved> saved;
    for (const Allocation& one : {w, x}) {
      ASSERT_TRUE(p.runtime->Recomputes({one.storage, WholeOf(kSize)}, Always(Writes(p, Pattern(9), &calls))).ok());
      saved.push_back(p.Pack(one.storage, WholeOf(kSize)));
    }
    p.Retire(x.storage);
    EXPECT_EQ(p.Unpack(saved[0]), Pattern(1));
    EXPECT_EQ(p.Unpack(saved[1]), Pattern(2));
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(p.ledger().avoided_recompute, 0u);
    ExpectBookedOnce(p.ledger());
    p.Retire(w.storage);
  }
}

TEST(Recompute, ALaterTellingCounts) {
  Program p(RacesTold());
  int old_calls = 0, new_calls = 0;
  const Allocation x = p.Make(Pattern(1));
  const View value = {x.storage, WholeOf(kSize)};
  ASSERT_TRUE(p.runtime->Recomputes(value, Always(Writes(p, Pattern(1), &old_calls))).ok());
  ASSERT_TRUE(p.runtime->Recomputes(value, Always(Writes(p, Pattern(1), &new_calls))).ok());
  const Saved saved = PackAndRetire(p, x);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  EXPECT_EQ(old_calls, 0);
  EXPECT_EQ(new_calls, 1);
}

TEST(Recompute, IsRefusedByName) {
  Program p(RacesTold());
  const Allocation x = p.Make(Pattern(1));
  const View whole = {x.storage, WholeOf(kSize)};
  Status status = p.runtime->Recomputes(whole, {nullptr, "nothing"});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("'nothing'"));
  EXPECT_EQ(p.runtime->Recomputes({x.storage, WholeOf(kSize + 1)}, Writes(p, Pattern(1))).code(),
            StatusCode::kInvalidArgument);
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->Recomputes(whole, Writes(p, Pattern(1))).code(), StatusCode::kFailedPrecondition);
  for (const double rate : {-1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    Options options = RacesTold();
    options.devices[0].copy_bytes_per_s = rate;
    const Status refused = Runtime::Create(options).status();
    EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument) << rate;
    EXPECT_THAT(refused.ToString(), HasSubstr("copy_bytes_per_s"));
  }
}

// While one thread computes, another asks for the same: both get it, and neither waits for the other.
TEST(Recompute, TwoThreadsMayAskAtOnce) {
  Options options = DeterministicOptions(1);
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  options.devices[0].emulated.find_races = true;
  for (const bool held : {false, true}) {
    Program p(options);
    std::atomic<int> calls{0};
    Saved saved;
    std::optional<Loaded> seen;
    Recompute recompute;
    recompute.always = true;
    recompute.function = [&](const RecomputeArguments& a) {
      if (calls++ == 0) {
        std::thread([&] {
          StatusOr<Loaded> loaded = p.runtime->Unpack(saved, p.other());
          ASSERT_TRUE(loaded.ok()) << loaded.status();
          if (held) seen = *std::move(loaded);
        }).join();
      }
      HostKernel kernel;
      kernel.name = "compute";
      kernel.accesses.push_back({a.destination, kSize, true});
      kernel.run = [to = a.destination](KernelContext&) { std::memcpy(to, Pattern(1).data(), kSize); };
      return p.device->Launch(a.stream, std::move(kernel));
    };
    saved = PackRecomputed(p, Pattern(1), std::move(recompute));
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    EXPECT_EQ(calls, 2);
    if (seen) {
      EXPECT_EQ(p.Read(*seen, p.other()), Pattern(1));
    }
    seen.reset();
    saved = Saved();
    ExpectNothingHeld(p);
  }
}

// While memory is found for one, another thread computes it: once is enough.
TEST(Recompute, IsNotDoneTwiceForWantOfALook) {
  Options options = RacesTold();
  std::vector<std::unique_ptr<Bytes>> memory;
  std::atomic<bool> armed{true};
  std::atomic<int> calls{0};
  Runtime* runtime = nullptr;
  Stream stream;
  Saved saved;
  Loaded seen;
  auto allocator = std::make_shared<DeviceAllocator>();
  allocator->allocate = [&](std::size_t bytes, Stream) -> void* {
    if (armed.exchange(false)) std::thread([&] { seen = runtime->Unpack(saved, stream).value(); }).join();
    memory.push_back(std::make_unique<Bytes>(bytes));
    return memory.back()->data();
  };
  allocator->deallocate = [](void*, std::size_t, Stream) {};
  options.devices[0].allocator = allocator;
  Program p(options);
  runtime = p.runtime.get();
  stream = p.other();
  Recompute recompute = Always(Writes(p, Pattern(1)));
  recompute.function = [&calls, write = recompute.function](const RecomputeArguments& a) {
    ++calls;
    return write(a);
  };
  saved = PackRecomputed(p, Pattern(1), std::move(recompute));
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(armed);
  seen = Loaded();
  saved = Saved();
  ExpectNothingHeld(p);
}

// With room for one value alone, which is computed from another that must give its room up first.
TEST(Recompute, FindsRoomAsEveryReloadDoes) {
  Options options = RacesTold(OffloadPolicy::kFit);
  options.devices[0].capacity = 4 * kSize;
  Program p(options);
  std::vector<Saved> saved;
  for (std::uint64_t i = 0; i < 12; ++i) {
    saved.push_back(i % 2 == 0 ? PackRecomputed(p, Pattern(i), Always(Writes(p, Pattern(i))))
                               : PackAndRetire(p, p.Make(Pattern(i))));
  }
  for (std::uint64_t i = 12; i-- > 0;) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
  EXPECT_EQ(p.ledger().avoided_recompute, 6 * kSize);
  EXPECT_EQ(p.runtime->statistics().shortages.failures, 0u);
  saved.clear();
  ExpectNothingHeld(p);
}

}  // namespace
}  // namespace tierlib
