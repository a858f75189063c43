// The verbs of the Runtime, one promise per test, on owned storages of the emulated device.
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

Options SmallOptions(OffloadMode mode = OffloadMode::kMarshal, OffloadPolicy policy = OffloadPolicy::kAll) {
  Options options;
  options.devices[0].capacity = MiB(64);
  options.devices[0].emulated.schedule = EmulatedSchedule::kDeterministic;
  options.devices[0].emulated.poison = true;
  options.pinned_limit = MiB(64);
  options.pageable_limit = MiB(4);
  options.mode = mode;
  options.policy = policy;
  return options;
}

// A runtime with a stream, and storages filled with 0, 1, 2, ... as 32-bit numbers.
class Bench {
 public:
  explicit Bench(const Options& options)
      : runtime(Runtime::Create(options).value()), stream(runtime->CreateStream(0, "compute").value()) {}

  Allocation Make(std::uint64_t bytes, std::uint32_t first = 0, Holds holds = Holds::kTransient) {
    Allocation made = runtime->Allocate(bytes, holds, stream, "x").value();
    std::vector<std::uint32_t> host(bytes / 4);
    std::iota(host.begin(), host.end(), first);
    Write(made.data, host.data(), bytes);
    return made;
  }
  void Write(void* to, const void* from, std::uint64_t bytes) {
    const CopyRun run = {to, from, bytes};
    ASSERT_TRUE(backend().Copy({&run, 1}, CopyDirection::kHostToDevice, stream).ok());
    ASSERT_TRUE(runtime->Synchronize(stream).ok());
  }
  // The element of a loaded value at byte `offset` of its storage.
  std::vector<std::uint32_t> Read(const Loaded& loaded, std::uint64_t offset, std::size_t count) {
    std::vector<std::uint32_t> host(count);
    const CopyRun run = {host.data(), static_cast<const char*>(loaded.origin()) + offset, count * 4};
    EXPECT_TRUE(backend().Copy({&run, 1}, CopyDirection::kDeviceToHost, stream).ok());
    EXPECT_TRUE(runtime->Synchronize(stream).ok());
    return host;
  }
  Saved Pack(StorageId id, const Layout& layout) {
    return runtime->Pack({id, layout}, nullptr, stream, "saved").value();
  }
  DeviceBackend& backend() { return runtime->core()->backend(0); }
  Ledger ledger() { return runtime->statistics().total; }
  // Copies that this fixture itself made do not count.
  std::uint64_t HostLive() { return runtime->statistics().pinned.live; }

  std::unique_ptr<Runtime> runtime;
  Stream stream;
};

Layout Vector(std::int64_t count) { return Layout::Contiguous(DType::kF32, {count}); }

TEST(Verbs, RefuseStreamsOfAnotherDevice) {
  Options options = SmallOptions();
  options.devices.push_back(options.devices[0]);
  options.devices[1].device = 1;
  Bench b(options);
  const Stream elsewhere = b.runtime->CreateStream(1, "elsewhere").value();
  const Allocation x = b.Make(KiB(4), 7);
  const View view{x.storage, Vector(1024)};
  EXPECT_EQ(b.runtime->Pack(view, nullptr, elsewhere, "x").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(b.runtime->BeginWrite(x.storage, elsewhere).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(b.ledger().packs, 0u);
  const Saved saved = b.Pack(x.storage, Vector(1024));
  EXPECT_EQ(b.runtime->Unpack(saved, elsewhere).status().code(), StatusCode::kInvalidArgument);
  {
    const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
    EXPECT_EQ(loaded.UsedOn(elsewhere).code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(loaded.UsedOn(b.runtime->CreateStream(0, "further").value()).ok());
    EXPECT_EQ(b.Read(loaded, 4, 2), (std::vector<std::uint32_t>{8, 9}));
  }
  EXPECT_EQ(b.runtime->Retire(x.storage, elsewhere).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(b.runtime->Retire(x.storage, b.stream).ok()) << "the refused one changed nothing";
}

TEST(Verbs, AllocateAtTheAlignmentThatIsAskedFor) {
  Options options = SmallOptions();
  options.devices[0].capacity = KiB(64);
  Bench b(options);
  const auto at = [&](std::uint64_t bytes, std::uint64_t alignment) {
    return b.runtime->Allocate(bytes, Holds::kPersistent, b.stream, "x", alignment);
  };
  const auto address = [](const StatusOr<Allocation>& made) { return reinterpret_cast<std::uintptr_t>(made->data); };
  (void)at(100, 1).value();
  const StatusOr<Allocation> page = at(KiB(4), KiB(4));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(address(page) % KiB(4), 0u);
  EXPECT_EQ(address(at(256, 512)) % 512, 0u);
  const auto message = [&](std::uint64_t alignment) { return at(256, alignment).status().ToString(); };
  EXPECT_THAT(message(0), HasSubstr("allocate 'x': alignment 0 is no power of two"));
  EXPECT_THAT(message(768), HasSubstr("allocate 'x': alignment 768 is no power of two"));
  EXPECT_THAT(message(KiB(8)), HasSubstr("allocate 'x': alignment 8192, and emulated:0 has at most 4096"));
  EXPECT_EQ(at(256, 3).status().code(), StatusCode::kInvalidArgument);
  // Full but for one page that begins between two borders.
  std::vector<StorageId> rest;
  for (StatusOr<Allocation> made = at(256, 1); made.ok(); made = at(256, 1)) rest.push_back(made->storage);
  for (std::size_t i = rest.size() - 20; i < rest.size() - 4; ++i) {
    ASSERT_TRUE(b.runtime->Retire(rest[i], b.stream).ok());
  }
  EXPECT_THAT(at(KiB(4), KiB(4)).status().ToString(), HasSubstr("asked 4 KiB at a multiple of 4 KiB, free 4 KiB of"));
  const Shortage shortage = b.runtime->LastShortage(0).value();
  EXPECT_EQ(shortage.alignment, KiB(4));
  EXPECT_EQ(shortage.reason, Shortage::Reason::kFragmentation);
  EXPECT_EQ(shortage.more_capacity, KiB(4));
  EXPECT_TRUE(at(KiB(4), 256).ok()) << "which is there at another address";
  ASSERT_TRUE(b.runtime->Retire(page->storage, b.stream).ok());
  EXPECT_EQ(at(KiB(4), KiB(4)).value().data, page->data) << "no more is needed than the page itself";
}

// Table 1 of the eDKM paper: x0 of 4 MiB and x1, a view of it, both to the host.
TEST(Verbs, Table1MovesAStorageOnceAndNaiveTwice) {
  for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
    Bench b(SmallOptions(mode));
    const Allocation x0 = b.Make(MiB(4));
    const Saved s0 = b.Pack(x0.storage, Layout::Contiguous(DType::kF32, {1024, 1024}));
    const Saved s1 = b.Pack(x0.storage, Layout::Contiguous(DType::kF32, {1024 * 1024, 1}));
    const std::uint64_t expected = mode == OffloadMode::kMarshal ? MiB(4) : MiB(8);
    EXPECT_EQ(b.ledger().moved, expected);
    EXPECT_EQ(b.ledger().engine_out, expected);
    EXPECT_EQ(b.ledger().naive, MiB(8));
    EXPECT_EQ(b.HostLive(), expected);
    ASSERT_TRUE(b.runtime->Retire(x0.storage, b.stream).ok());
    for (const Saved& saved : {s0, s1}) {
      const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
      EXPECT_EQ(b.Read(loaded, MiB(2), 3), (std::vector<std::uint32_t>{524288, 524289, 524290}));
    }
  }
}

TEST(Verbs, ModeOffMovesNothingAndKeepsTheBytes) {
  Bench b(SmallOptions(OffloadMode::kOff));
  const Allocation x = b.Make(KiB(4), 7);
  const Saved saved = b.Pack(x.storage, Vector(1024));
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  const Allocation other = b.Make(KiB(4), 1000);  // would land in x's place had it been given back
  const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
  EXPECT_EQ(b.Read(loaded, 4, 2), (std::vector<std::uint32_t>{8, 9}));
  EXPECT_EQ(b.ledger().engine_out, 0u);
  EXPECT_EQ(b.ledger().kept, KiB(4));
  (void)other;
}

TEST(Verbs, DeviceBytesComeBackOnceTheyAreCopiedOut) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(MiB(4));
  const Saved saved = b.Pack(x.storage, Vector(1024 * 1024));
  const std::uint64_t before = b.runtime->statistics().device.live;
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  EXPECT_EQ(before - b.runtime->statistics().device.live, MiB(4));
  EXPECT_EQ(b.ledger().freed, MiB(4));
}

TEST(Verbs, DisjointAndOverlappingSlicesMoveTheUnionOfTheirBytes) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(KiB(64));
  Layout columns = Layout::Contiguous(DType::kF32, {128, 32});  // columns [0, 32) of a 128 x 128 matrix
  columns.strides[0] = 128;
  const Saved left = b.Pack(x.storage, columns);
  columns.offset_bytes = 16 * 4;  // columns [16, 48): half of it is there
  const Saved right = b.Pack(x.storage, columns);
  EXPECT_EQ(b.ledger().moved, 128u * 48 * 4);
  EXPECT_EQ(b.ledger().avoided_identity, 128u * 16 * 4);
  EXPECT_EQ(b.ledger().engine_out, b.ledger().moved);
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  const Loaded loaded = b.runtime->Unpack(right, b.stream).value();
  EXPECT_EQ(b.Read(loaded, (128 + 16) * 4, 32).back(), 128u + 16 + 31);
}

TEST(Verbs, ExpandMovesItsUniqueBytesAndKeepsItsStrides) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(KiB(1));
  Layout expanded;
  expanded.sizes = {1000, 256};
  expanded.strides = {0, 1};
  const Saved saved = b.Pack(x.storage, expanded);
  EXPECT_EQ(b.ledger().moved, KiB(1));
  EXPECT_EQ(b.ledger().avoided_identity, 999 * KiB(1));
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  const Loaded loaded = b.runtime->Unpack(saved, b.stream).value();
  EXPECT_EQ(loaded.layout(), expanded);
  EXPECT_EQ(b.Read(loaded, 0, 2), (std::vector<std::uint32_t>{0, 1}));
}

TEST(Verbs, ACopyOfASavedValueIsReplayedInBothDirections) {
  for (const bool source_first : {true, false}) {
    Bench b(SmallOptions());
    const Allocation x = b.Make(KiB(64));
    const Allocation y = b.Make(KiB(64));
    Layout transposed;  // x as 128 x 128, transposed
    transposed.sizes = {128, 128};
    transposed.strides = {1, 128};
    const Layout rows = Layout::Contiguous(DType::kF32, {128, 128});
    // y becomes the contiguous copy of x transposed.
    std::vector<std::uint32_t> copy(128 * 128);
    for (std::uint32_t i = 0; i < 128; ++i) {
      for (std::uint32_t j = 0; j < 128; ++j) copy[i * 128 + j] = j * 128 + i;
    }
    b.Write(y.data, copy.data(), KiB(64));
    ASSERT_TRUE(b.runtime->Derive({y.storage, rows}, {x.storage, transposed}, Replay::Copy()).ok());
    const std::uint64_t before = b.ledger().engine_out;
    const Saved first = b.Pack(source_first ? x.storage : y.storage, rows);
    const Saved second = b.Pack(source_first ? y.storage : x.storage, rows);
    EXPECT_EQ(b.ledger().engine_out - before, KiB(64));
    EXPECT_EQ(b.ledger().avoided_lineage, KiB(64));
    ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
    ASSERT_TRUE(b.runtime->Retire(y.storage, b.stream).ok());
    const Loaded loaded = b.runtime->Unpack(second, b.stream).value();
    EXPECT_EQ(b.Read(loaded, 4, 1)[0], source_first ? 128u : 1u);
    (void)first;
  }
}

TEST(Verbs, BeyondTheHopLimitAPlainCopyIsMade) {
  for (const int limit : {2, 3}) {
    Options options = SmallOptions();
    options.hop_limit = limit;
    Bench b(options);
    std::vector<Allocation> chain = {b.Make(KiB(4), 5)};
    for (int i = 0; i < 3; ++i) {
      chain.push_back(b.Make(KiB(4), 5));
      ASSERT_TRUE(
          b.runtime->Derive({chain[i + 1].storage, Vector(1024)}, {chain[i].storage, Vector(1024)}, Replay::Copy())
              .ok());
    }
    const Saved first = b.Pack(chain[0].storage, Vector(1024));
    const Saved last = b.Pack(chain[3].storage, Vector(1024));
    EXPECT_EQ(b.ledger().moved, limit == 3 ? KiB(4) : KiB(8));
    EXPECT_EQ(b.ledger().avoided_lineage, limit == 3 ? KiB(4) : 0u);
    for (const Allocation& one : chain) ASSERT_TRUE(b.runtime->Retire(one.storage, b.stream).ok());
    const Loaded loaded = b.runtime->Unpack(last, b.stream).value();
    EXPECT_EQ(b.Read(loaded, 0, 2), (std::vector<std::uint32_t>{5, 6}));
    (void)first;
  }
}

TEST(Verbs, PersistentStoragesAreNotMoved) {
  Bench b(SmallOptions());
  const Allocation w = b.Make(KiB(64), 3, Holds::kPersistent);
  Layout transposed;
  transposed.sizes = {128, 128};
  transposed.strides = {1, 128};
  const Saved saved = b.Pack(w.storage, transposed);
  EXPECT_EQ(b.ledger().frees_nothing, KiB(64));
  EXPECT_EQ(b.ledger().engine_out, 0u);
  EXPECT_EQ(b.Read(b.runtime->Unpack(saved, b.stream).value(), 0, 1)[0], 3u);
}

TEST(Verbs, AWriteBetweenTwoPacksMakesTwoCopiesAndTheOldValueUnreadable) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(KiB(4));
  const Saved before = b.Pack(x.storage, Vector(1024));
  ASSERT_TRUE(b.runtime->Drain().ok());
  ASSERT_TRUE(b.runtime->BeginWrite(x.storage, b.stream).ok());
  const Saved after = b.Pack(x.storage, Vector(1024));
  EXPECT_EQ(b.ledger().moved, KiB(8));
  const StatusOr<Loaded> old = b.runtime->Unpack(before, b.stream);
  EXPECT_EQ(old.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(old.status().message().find("version 0"), std::string_view::npos) << old.status();
  EXPECT_TRUE(b.runtime->Unpack(after, b.stream).ok());
}

TEST(Verbs, AWriteIntoACopyInFlightIsRefusedOrWaits) {
  for (const bool waits : {false, true}) {
    Options options = SmallOptions();
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices[0].emulated.copy_out_bytes_per_s = 20e6;  // 4 MiB take 200 ms
    options.write_waits = waits;
    Bench b(options);
    const Allocation x = b.runtime->Allocate(MiB(4), Holds::kTransient, b.stream, "x").value();
    const Saved saved = b.Pack(x.storage, Vector(1024 * 1024));
    const Status status = b.runtime->BeginWrite(x.storage, b.stream);
    if (waits) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(b.ledger().stalls, 1u);
    } else {
      EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
      EXPECT_NE(status.message().find("'x'"), std::string_view::npos) << status;
    }
  }
}

TEST(Verbs, FitMovesNothingWhileMemoryIsAmpleAndTheOldestWhenItIsNot) {
  Options options = SmallOptions(OffloadMode::kMarshal, OffloadPolicy::kFit);
  options.devices[0].capacity = MiB(8);
  Bench b(options);
  std::vector<Saved> saved;
  for (std::uint32_t i = 0; i < 6; ++i) {
    const Allocation x = b.Make(MiB(2), i);
    saved.push_back(b.Pack(x.storage, Vector(512 * 1024)));
    ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
    EXPECT_EQ(b.ledger().moved, i < 4 ? 0u : (i - 3) * MiB(2));
  }
  for (std::uint32_t i = 6; i-- > 0;) {
    const Loaded loaded = b.runtime->Unpack(saved[i], b.stream).value();
    EXPECT_EQ(b.Read(loaded, 0, 2), (std::vector<std::uint32_t>{i, i + 1}));
    saved.pop_back();
  }
  EXPECT_EQ(b.HostLive(), 0u);
}

TEST(Verbs, AFullDeviceSaysWhatWasAskedAndWhoHoldsTheMost) {
  Options options = SmallOptions(OffloadMode::kOff);
  options.devices[0].capacity = MiB(4);
  Bench b(options);
  const Allocation x = b.Make(MiB(3));
  const StatusOr<Allocation> refused = b.runtime->Allocate(MiB(2), Holds::kTransient, b.stream, "y");
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  for (const char* part : {"asked 2 MiB", "largest hole 1 MiB", "activations 3 MiB", "'x' 3 MiB"}) {
    EXPECT_NE(refused.status().message().find(part), std::string_view::npos) << part << " in " << refused.status();
  }
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  EXPECT_TRUE(b.runtime->Allocate(MiB(2), Holds::kTransient, b.stream, "y").ok());
}

TEST(Verbs, AFullHostKeepsTheValueOnTheDevice) {
  Options options = SmallOptions();
  options.pinned_limit = KiB(256);
  options.pageable_limit = 0;
  Bench b(options);
  const Allocation x = b.Make(MiB(1), 9);
  const Saved saved = b.Pack(x.storage, Vector(256 * 1024));
  EXPECT_EQ(b.ledger().kept, MiB(1));
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  EXPECT_EQ(b.Read(b.runtime->Unpack(saved, b.stream).value(), 0, 1)[0], 9u);
}

TEST(Verbs, EmptyValuesRoundTripWithoutBytes) {
  Bench b(SmallOptions());
  const Allocation x = b.runtime->Allocate(0, Holds::kTransient, b.stream, "empty").value();
  const Layout empty = Layout::Contiguous(DType::kF32, {3, 0, 2});
  const Loaded loaded = b.runtime->Unpack(b.Pack(x.storage, empty), b.stream).value();
  EXPECT_EQ(loaded.layout(), empty);
  EXPECT_EQ(b.ledger().naive, 0u);
}

TEST(Verbs, AnIdIsNotTakenForThatOfALaterStorageInItsPlace) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(KiB(4), 1);
  const Saved saved = b.Pack(x.storage, Vector(1024));
  ASSERT_TRUE(b.runtime->Retire(x.storage, b.stream).ok());
  const Allocation y = b.Make(KiB(4), 50);
  EXPECT_EQ(b.runtime->Retire(x.storage, b.stream).code(), StatusCode::kFailedPrecondition);
  const Saved other = b.Pack(y.storage, Vector(1024));
  EXPECT_EQ(b.ledger().moved, KiB(8));
  EXPECT_EQ(b.Read(b.runtime->Unpack(saved, b.stream).value(), 0, 1)[0], 1u);
}

TEST(Verbs, HandlesMayOutliveTheRuntime) {
  auto b = std::make_unique<Bench>(SmallOptions());
  const Allocation x = b->Make(KiB(4));
  Saved saved = b->Pack(x.storage, Vector(1024));
  Loaded loaded = b->runtime->Unpack(saved, b->stream).value();
  b.reset();
  saved = Saved();
  loaded = Loaded();
}

TEST(Verbs, ALayoutBeyondItsStorageIsRefused) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(KiB(4));
  EXPECT_EQ(b.runtime->Pack({x.storage, Vector(1025)}, nullptr, b.stream, "too long").status().code(),
            StatusCode::kInvalidArgument);
}

TEST(Verbs, TellWhereThePinnedMemoryOfADeviceIs) {
  Bench b(SmallOptions());
  const Allocation x = b.Make(MiB(1));
  const Layout layout = Layout::Contiguous(DType::kF32, {MiB(1) / 4});
  const Saved saved = b.runtime->Pack({x.storage, layout}, nullptr, b.stream, "x").value();
  const StatusOr<Placement> placement = b.runtime->VerifyPlacement(0);
  EXPECT_EQ(b.runtime->VerifyPlacement(1).status().code(), StatusCode::kInvalidArgument);
  if (placement.status().code() == StatusCode::kUnimplemented) GTEST_SKIP() << placement.status();
  ASSERT_TRUE(placement.ok()) << placement.status();
  std::uint64_t pages = 0;
  for (const std::uint64_t of_node : placement->pages) pages += of_node;
  EXPECT_EQ(pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)), b.runtime->statistics().pinned.reserved);
  EXPECT_EQ(placement->elsewhere, 0u);
  EXPECT_EQ(placement->absent, 0u);
}

}  // namespace
}  // namespace tierlib
