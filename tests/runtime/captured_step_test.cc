// Captured steps: what they share with the runtime around them, what they refuse, and what is left when they go. The
// gradients are in tests/conformance/capture_test.cc.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "runtime/program.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kBytes = KiB(4);

CaptureOptions Room(std::uint64_t device_values = 4, std::uint64_t pinned_values = 4) {
  CaptureOptions room;
  room.device_bytes = device_values * kBytes;
  room.pinned_bytes = pinned_values * kBytes;
  return room;
}

Options RaceChecked(std::uint64_t seed = 1) {
  Options options = DeterministicOptions(seed);
  options.devices[0].emulated.find_races = true;
  return options;
}

// Adds `by` to each byte of `from`.
void LaunchAdd(Program& p, Stream stream, const void* from, void* to, std::uint8_t by) {
  const Faults::Paused paused;  // what fails is to be a call of the runtime
  auto* in = static_cast<const std::uint8_t*>(from);
  auto* out = static_cast<std::uint8_t*>(to);
  const auto add = [in, out, by] {
    for (std::uint64_t i = 0; i < kBytes; ++i) out[i] = static_cast<std::uint8_t>(in[i] + by);
  };
  p.Launch(stream, {{in, kBytes, false}, {out, kBytes, true}}, add);
}

Bytes ReadBytes(Program& p, const void* from) {
  auto bytes = std::make_shared<Bytes>(kBytes);
  auto* in = static_cast<const std::uint8_t*>(from);
  p.Launch(p.compute(), {{in, kBytes, false}}, [bytes, in] { std::copy(in, in + kBytes, bytes->begin()); });
  EXPECT_TRUE(p.runtime->Synchronize(p.compute()).ok());
  return *bytes;
}

// x + 1 is saved, and its memory is used again; out = saved + 1. Two values are on the device at once.
struct Small {
  explicit Small(Program& program) : p(program), x(p.Make(Bytes(kBytes, 1))), out(p.Make(Bytes(kBytes, 0))) {}
  Status TryStep(Stream stream) {
    // x is read by kernels alone: this tells the runtime that it is.
    TIERLIB_ASSIGN_OR_RETURN(const Saved input, p.runtime->Pack({x.storage, WholeOf(kBytes)}, nullptr, stream, "x"));
    TIERLIB_ASSIGN_OR_RETURN(const Allocation held, p.runtime->Allocate(kBytes, Holds::kTransient, stream, "held"));
    TIERLIB_ASSIGN_OR_RETURN(const Allocation made, p.runtime->Allocate(kBytes, Holds::kTransient, stream, "made"));
    LaunchAdd(p, stream, x.data, made.data, 1);
    TIERLIB_ASSIGN_OR_RETURN(const Saved saved,
                             p.runtime->Pack({made.storage, WholeOf(kBytes)}, nullptr, stream, "saved"));
    TIERLIB_RETURN_IF_ERROR(p.runtime->Retire(made.storage, stream));
    TIERLIB_ASSIGN_OR_RETURN(const Allocation other, p.runtime->Allocate(kBytes, Holds::kTransient, stream, "other"));
    LaunchAdd(p, stream, x.data, other.data, 100);
    TIERLIB_RETURN_IF_ERROR(p.runtime->Retire(other.storage, stream));
    TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, p.runtime->Unpack(saved, stream));
    TIERLIB_RETURN_IF_ERROR(p.runtime->BeginWrite(out.storage, stream));
    LaunchAdd(p, stream, loaded.origin(), held.data, 0);
    LaunchAdd(p, stream, held.data, out.data, 1);
    return p.runtime->Retire(held.storage, stream);
  }
  StatusOr<CapturedStep> TryCapture(const CaptureOptions& room = Room()) {
    TIERLIB_ASSIGN_OR_RETURN(const std::vector<Stream> streams, p.runtime->BeginCapture(0, room));
    const Status step = TryStep(streams[0]);
    StatusOr<CapturedStep> captured = p.runtime->EndCapture(streams[0]);
    TIERLIB_RETURN_IF_ERROR(step);
    return captured;
  }
  void SetX(std::uint8_t value) {
    p.BeginWrite(x.storage);
    p.Write(x.data, Bytes(kBytes, value), p.compute());
  }
  Program& p;
  Allocation x;
  Allocation out;
};

TEST(CapturedStep, RefusesWhatCannotHold) {
  Program p(RaceChecked());
  Runtime& runtime = *p.runtime;
  const auto begin = [&](const CaptureOptions& room, int device = 0) {
    return runtime.BeginCapture(device, room).status();
  };
  EXPECT_THAT(begin(Room(0)).ToString(), HasSubstr("INVALID_ARGUMENT: BeginCapture: device_bytes is 0"));
  CaptureOptions none = Room();
  none.streams = 0;
  EXPECT_THAT(begin(none).ToString(), HasSubstr("INVALID_ARGUMENT: BeginCapture: 0 streams"));
  EXPECT_EQ(begin(Room(), 3).code(), StatusCode::kInvalidArgument);
  const Status full = begin(Room(4, 1 << 20));
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.ToString(), HasSubstr("BeginCapture: pinned_bytes 4 GiB asked, pinned memory has 8 MiB"));
  EXPECT_EQ(begin(Room(1 << 20)).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(runtime.statistics().device.live, 0u) << "nothing is left of these";
  EXPECT_EQ(runtime.statistics().pinned.live, 0u);
  EXPECT_EQ(runtime.EndCapture(p.compute()).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(runtime.Launch(CapturedStep(), p.compute()).code(), StatusCode::kInvalidArgument);

  Options checked = RaceChecked();
  checked.checksums = true;
  Program other(checked);
  const Status refused = other.runtime->BeginCapture(0, Room()).status();
  EXPECT_EQ(refused.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(refused.ToString(), HasSubstr("Options::checksums"));
  Small small(p);
  const CapturedStep step = small.TryCapture().value();
  EXPECT_EQ(other.runtime->Launch(step, other.compute()).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(runtime.Launch(step, {1, 1}).code(), StatusCode::kInvalidArgument);
}

TEST(CapturedStep, ValuesDoNotLeaveItNorComeIn) {
  Program p(RaceChecked());
  Runtime& runtime = *p.runtime;
  const Allocation x = p.Make(Bytes(kBytes, 3));
  const Saved outside = p.Pack(x.storage, WholeOf(kBytes));
  const std::vector<Stream> streams = runtime.BeginCapture(0, Room()).value();
  const Stream stream = streams[0];
  EXPECT_THAT(runtime.Unpack(outside, stream).status().ToString(),
              HasSubstr("FAILED_PRECONDITION: unpack in a capture of a value that was not packed in it"));
  EXPECT_THAT(runtime.Retire(x.storage, stream).ToString(), HasSubstr("is not of the capture"));
  const Allocation made = runtime.Allocate(kBytes, Holds::kTransient, stream, "made").value();
  LaunchAdd(p, stream, x.data, made.data, 0);
  const Saved inside = runtime.Pack({made.storage, WholeOf(kBytes)}, nullptr, stream, "saved").value();
  const Status elsewhere = runtime.Unpack(inside, p.compute()).status();
  EXPECT_THAT(elsewhere.ToString(), HasSubstr("FAILED_PRECONDITION: unpack of a value that was packed in a capture"));
  EXPECT_EQ(runtime.Pack({made.storage, WholeOf(kBytes)}, nullptr, p.compute(), "saved").status().code(),
            StatusCode::kFailedPrecondition)
      << "another stream does not know its storages";
  // The others are as ever meanwhile.
  EXPECT_EQ(p.Unpack(outside), Bytes(kBytes, 3));
  CapturedStep step = runtime.EndCapture(stream).value();
  EXPECT_EQ(runtime.Unpack(inside, p.compute()).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(runtime.Unpack(inside, stream).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(runtime.health().ok()) << runtime.health();
}

TEST(CapturedStep, WhatDoesNotFitOnTheHostStaysAndIsTold) {
  Program p(RaceChecked());
  Small small(p);
  const CapturedStep step = small.TryCapture(Room(4, 0)).value();
  EXPECT_EQ(step.statistics().launch.moved, 0u);
  EXPECT_EQ(step.statistics().launch.kept, kBytes);
  EXPECT_EQ(step.statistics().fallbacks.refused, 1u);
  small.SetX(5);
  ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
  EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, 7));
  EXPECT_EQ(p.runtime->statistics().fallbacks.refused, 0u) << "the runtime's own tiers refused nothing";
}

TEST(CapturedStep, TellsHowMuchMemoryWouldHaveSufficed) {
  Program p(RaceChecked());
  Small small(p);
  const CapturedStatistics roomy = small.TryCapture(Room(100, 100)).value().statistics();
  EXPECT_EQ(roomy.device_bytes, 2 * kBytes);
  EXPECT_EQ(roomy.pinned_bytes, kBytes);
  EXPECT_EQ(roomy.launch.moved, kBytes);
  CaptureOptions exact;
  exact.device_bytes = roomy.device_bytes;
  exact.pinned_bytes = roomy.pinned_bytes;
  const CapturedStep step = small.TryCapture(exact).value();
  EXPECT_EQ(step.statistics().launch.moved, kBytes);
  exact.device_bytes -= kBytes;
  EXPECT_EQ(small.TryCapture(exact).status().code(), StatusCode::kResourceExhausted);
  small.SetX(9);
  ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
  EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, 11));
}

TEST(CapturedStep, AWriteThatItAnnouncesIsOneAtEachLaunch) {
  Options options = RaceChecked();
  options.devices[0].coalesce_bytes = KiB(256);  // a copy that has not begun is in flight for sure
  Program p(options);
  Small small(p);
  const CapturedStep step = small.TryCapture().value();
  // A copy of what it writes is in flight: the launch says so, and nothing of it runs.
  const Saved saved = p.Pack(small.out.storage, WholeOf(kBytes));
  const Ledger before = p.ledger();
  const Status refused = p.runtime->Launch(step, p.compute());
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(p.ledger().packs, before.packs);
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(p.Unpack(saved), Bytes(kBytes, 0));
  ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
  EXPECT_EQ(p.runtime->Unpack(saved, p.compute()).status().code(), StatusCode::kFailedPrecondition) << "written since";
  EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, 3));
  // One that reads what is written on another stream waits for it, and the reverse.
  ASSERT_TRUE(p.runtime->Launch(step, p.other()).ok());
  ASSERT_TRUE(p.runtime->BeginWrite(small.x.storage, p.compute()).ok());
  p.OrderAfterKernels(p.compute());
  p.Write(small.x.data, Bytes(kBytes, 50), p.compute());
  ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
  ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
  EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
}

// The saved value is still where the storage was.
TEST(CapturedStep, DoesNotWriteOverAStorageThatWasRetired) {
  Options options = RaceChecked();
  options.policy = OffloadPolicy::kFit;
  Program p(options);
  Small small(p);
  const CapturedStep step = small.TryCapture().value();
  ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
  const Saved saved = p.Pack(small.out.storage, WholeOf(kBytes));
  p.Retire(small.x.storage);  // which it reads
  p.Retire(small.out.storage);
  const Status refused = p.runtime->Launch(step, p.compute());
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.ToString(), HasSubstr("Launch: the step writes"));
  EXPECT_THAT(refused.ToString(), HasSubstr("which was retired since it was captured"));
  EXPECT_EQ(p.Unpack(saved), Bytes(kBytes, 3));
  EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
}

TEST(CapturedStep, RefusesStoragesOfAnotherDevice) {
  Options options = RaceChecked();
  options.devices.push_back(options.devices[0]);
  options.devices[1].device = 1;
  Program p(options);
  const Stream elsewhere = p.runtime->CreateStream(1, "elsewhere").value();
  const Allocation other = p.runtime->Allocate(kBytes, Holds::kTransient, elsewhere, "other").value();
  const Stream stream = p.runtime->BeginCapture(0, Room()).value()[0];
  const Status written = p.runtime->BeginWrite(other.storage, stream);
  EXPECT_EQ(written.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(written.ToString(), HasSubstr("is on device 1, and the capture is of device 0"));
  EXPECT_EQ(p.runtime->Pack({other.storage, WholeOf(kBytes)}, nullptr, stream, "other").status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(p.runtime->EndCapture(stream).ok());
}

TEST(CapturedStep, WhatIsToldOfAStorageThatItWritesIsOfTheCapture) {
  Program p(RaceChecked());
  Runtime& runtime = *p.runtime;
  const Allocation x = p.Make(Bytes(kBytes, 1));
  const Allocation kept = p.Make(Bytes(kBytes, 0));
  const Stream stream = runtime.BeginCapture(0, Room()).value()[0];
  ASSERT_TRUE(runtime.BeginWrite(kept.storage, stream).ok());
  LaunchAdd(p, stream, x.data, kept.data, 1);
  int calls = 0;
  Recompute recompute;
  recompute.always = true;
  recompute.function = [&](const RecomputeArguments& a) {
    ++calls;
    LaunchAdd(p, a.stream, x.data, a.destination, 1);
    return OkStatus();
  };
  ASSERT_TRUE(runtime.Recomputes({kept.storage, WholeOf(kBytes)}, std::move(recompute)).ok());
  ASSERT_TRUE(runtime.EndCapture(stream).ok());
  // The runtime's store was told nothing, which would have it compute what is there again: the value is copied.
  const Saved outside = p.Pack(kept.storage, WholeOf(kBytes));
  p.Retire(kept.storage);
  EXPECT_EQ(p.Unpack(outside), Bytes(kBytes, 0));
  EXPECT_EQ(calls, 0);
}

// What is left of a copy that failed halfway would be waited for by the host, which a capture cannot do.
TEST(CapturedStep, IsRefusedWhereAWaitWasNotPossible) {
  const auto faults = std::make_shared<Faults>();
  Options options = RaceChecked();
  options.devices[0].faults = faults;
  options.devices[0].chunk_bytes = kBytes / 4;
  Program p(options);
  const std::uint64_t live = p.runtime->statistics().device.live;
  const Stream stream = p.runtime->BeginCapture(0, Room()).value()[0];
  const Allocation made = p.runtime->Allocate(kBytes, Holds::kTransient, stream, "made").value();
  faults->Arm({.call = 2, .points = {FaultPoint::kCopy}});
  (void)p.runtime->Pack({made.storage, WholeOf(kBytes)}, nullptr, stream, "saved");
  EXPECT_EQ(faults->failures(), 1u);
  faults->Disarm();
  const Status refused = p.runtime->EndCapture(stream).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.ToString(), HasSubstr("EndCapture: a wait of the host"));
  EXPECT_EQ(p.runtime->statistics().device.live, live);
}

TEST(CapturedStep, TellsOptionsThatBeginCaptureTakes) {
  Program p(RaceChecked());
  CaptureOptions room = Room();
  for (int i = 0; i < 2; ++i) {
    const Stream stream = p.runtime->BeginCapture(0, room).value()[0];
    const CapturedStatistics statistics = p.runtime->EndCapture(stream).value().statistics();
    room.device_bytes = statistics.device_bytes;
    room.pinned_bytes = statistics.pinned_bytes;
  }
}

TEST(CapturedStep, WhatIsMadeFromOthersIsMadeAgainAtEachLaunch) {
  Program p(RaceChecked());
  Runtime& runtime = *p.runtime;
  const Allocation x = p.Make(Bytes(kBytes, 1));
  const Allocation out = p.Make(Bytes(kBytes, 0));
  const Stream stream = runtime.BeginCapture(0, Room()).value()[0];
  const Allocation source = runtime.Allocate(kBytes, Holds::kTransient, stream, "source").value();
  LaunchAdd(p, stream, x.data, source.data, 1);
  const Allocation copy = runtime.Allocate(kBytes, Holds::kTransient, stream, "copy").value();
  LaunchAdd(p, stream, source.data, copy.data, 0);
  Replay replay;
  replay.kind = Replay::Kind::kCopy;
  ASSERT_TRUE(
      runtime.Derive({copy.storage, WholeOf(kBytes)}, {source.storage, WholeOf(kBytes)}, std::move(replay)).ok());
  const Saved first = runtime.Pack({source.storage, WholeOf(kBytes)}, nullptr, stream, "source").value();
  const Saved second = runtime.Pack({copy.storage, WholeOf(kBytes)}, nullptr, stream, "copy").value();
  ASSERT_TRUE(runtime.Retire(source.storage, stream).ok());
  ASSERT_TRUE(runtime.Retire(copy.storage, stream).ok());
  {
    const Loaded loaded = runtime.Unpack(second, stream).value();
    ASSERT_TRUE(runtime.BeginWrite(out.storage, stream).ok());
    LaunchAdd(p, stream, loaded.origin(), out.data, 1);
  }
  const CapturedStep step = runtime.EndCapture(stream).value();
  EXPECT_EQ(step.statistics().launch.avoided_lineage, kBytes);
  EXPECT_EQ(step.statistics().launch.moved, kBytes);
  for (std::uint8_t value = 10; value < 13; ++value) {
    p.BeginWrite(x.storage);
    p.Write(x.data, Bytes(kBytes, value), p.compute());
    ASSERT_TRUE(runtime.Launch(step, p.compute()).ok());
    EXPECT_EQ(ReadBytes(p, out.data), Bytes(kBytes, static_cast<std::uint8_t>(value + 2)));
  }
  EXPECT_EQ(runtime.statistics().total.replayed, 3 * kBytes);
  EXPECT_TRUE(runtime.health().ok()) << runtime.health();
}

TEST(CapturedStep, TwoOfThemShareNothing) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Program p(RaceChecked(seed));
    Small a(p);
    Small b(p);
    const Stream first = p.runtime->BeginCapture(0, Room()).value()[0];
    const Stream second = p.runtime->BeginCapture(0, Room()).value()[0];
    ASSERT_TRUE(a.TryStep(first).ok());
    ASSERT_TRUE(b.TryStep(second).ok());
    const CapturedStep of_b = p.runtime->EndCapture(second).value();
    const CapturedStep of_a = p.runtime->EndCapture(first).value();
    for (std::uint8_t value = 1; value < 6; ++value) {
      a.SetX(value);
      b.SetX(static_cast<std::uint8_t>(value + 100));
      p.OrderAfterKernels(p.other());
      ASSERT_TRUE(p.runtime->Launch(of_a, p.compute()).ok());
      ASSERT_TRUE(p.runtime->Launch(of_b, p.other()).ok());  // beside it
      ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
      EXPECT_EQ(ReadBytes(p, a.out.data), Bytes(kBytes, static_cast<std::uint8_t>(value + 2)));
      EXPECT_EQ(ReadBytes(p, b.out.data), Bytes(kBytes, static_cast<std::uint8_t>(value + 102)));
    }
    EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
  }
}

TEST(CapturedStep, FurtherStreamsArePartOfIt) {
  Program p(RaceChecked());
  Runtime& runtime = *p.runtime;
  const Allocation x = p.Make(Bytes(kBytes, 1));
  const Allocation out = p.Make(Bytes(kBytes, 0));
  CaptureOptions room = Room();
  room.streams = 2;
  const std::vector<Stream> streams = runtime.BeginCapture(0, room).value();
  ASSERT_EQ(streams.size(), 2u);
  const Allocation made = runtime.Allocate(kBytes, Holds::kTransient, streams[0], "made").value();
  LaunchAdd(p, streams[0], x.data, made.data, 1);
  const Saved saved = runtime.Pack({made.storage, WholeOf(kBytes)}, nullptr, streams[0], "saved").value();
  ASSERT_TRUE(runtime.Retire(made.storage, streams[0]).ok());
  {
    const Loaded loaded = runtime.Unpack(saved, streams[1]).value();  // which waits for its copy in
    ASSERT_TRUE(runtime.BeginWrite(out.storage, streams[1]).ok());
    LaunchAdd(p, streams[1], loaded.origin(), out.data, 1);
  }
  EXPECT_EQ(runtime.EndCapture(streams[1]).status().code(), StatusCode::kFailedPrecondition) << "it is the first's";
  const CapturedStep step = runtime.EndCapture(streams[0]).value();
  p.BeginWrite(x.storage);
  p.Write(x.data, Bytes(kBytes, 20), p.compute());
  ASSERT_TRUE(runtime.Launch(step, p.compute()).ok());
  EXPECT_EQ(ReadBytes(p, out.data), Bytes(kBytes, 22));
  EXPECT_TRUE(runtime.health().ok()) << runtime.health();
}

TEST(CapturedStep, MayOutliveTheRuntimeAndNeedNotBeEnded) {
  Program p(RaceChecked());
  Small small(p);
  CapturedStep step = small.TryCapture().value();
  ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
  const std::vector<Stream> unended = p.runtime->BeginCapture(0, Room()).value();
  const Allocation made = p.runtime->Allocate(kBytes, Holds::kTransient, unended[0], "made").value();
  Saved saved = p.runtime->Pack({made.storage, WholeOf(kBytes)}, nullptr, unended[0], "saved").value();
  p.runtime.reset();
  EXPECT_EQ(step.statistics().launch.moved, kBytes);
  step = CapturedStep();
  saved = Saved();
}

TEST(CapturedStep, GivesItsMemoryBackWithItsLastHandle) {
  Program p(RaceChecked());
  const std::uint64_t before = p.runtime->statistics().device.live;
  const Stream stream = p.runtime->BeginCapture(0, Room()).value()[0];
  const Allocation made = p.runtime->Allocate(kBytes, Holds::kTransient, stream, "made").value();
  Saved saved = p.runtime->Pack({made.storage, WholeOf(kBytes)}, nullptr, stream, "saved").value();
  CapturedStep step = p.runtime->EndCapture(stream).value();
  CapturedStep copy = step;
  step = CapturedStep();
  EXPECT_EQ(p.runtime->statistics().device.live, before + 4 * kBytes);
  ASSERT_TRUE(p.runtime->Launch(copy, p.compute()).ok());
  copy = CapturedStep();
  EXPECT_EQ(p.runtime->statistics().device.live, before + 4 * kBytes) << "a value of it is there";
  saved = Saved();
  EXPECT_EQ(p.runtime->statistics().device.live, before);
  EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
}

TEST(CapturedStep, OtherThreadsGoOnMeanwhile) {
  Options options = RaceChecked();
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  Program p(options);
  Small small(p);
  const Stream own = p.runtime->CreateStream(0, "thread").value();
  std::thread thread([&] {
    for (int i = 0; i < 100 / TIERLIB_RANDOM_SCALE + 10; ++i) {
      const Allocation made = p.runtime->Allocate(kBytes, Holds::kTransient, own, "x").value();
      p.Launch(own, {{made.data, kBytes, true}}, [to = made.data, i] { std::memset(to, i, kBytes); });
      const Saved saved = p.runtime->Pack({made.storage, WholeOf(kBytes)}, nullptr, own, "saved").value();
      EXPECT_TRUE(p.runtime->Retire(made.storage, own).ok());
      const Loaded loaded = p.runtime->Unpack(saved, own).value();
      auto seen = std::make_shared<int>(0);
      p.Launch(own, {{loaded.origin(), 1, false}},
               [seen, from = static_cast<const std::uint8_t*>(loaded.origin())] { *seen = *from; });
      EXPECT_TRUE(p.runtime->Synchronize(own).ok());
      EXPECT_EQ(*seen, i);
    }
  });
  for (std::uint8_t i = 0; i < 10; ++i) {
    const CapturedStep step = small.TryCapture().value();
    small.SetX(i);
    ASSERT_TRUE(p.runtime->Launch(step, p.compute()).ok());
    EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, static_cast<std::uint8_t>(i + 2)));
  }
  thread.join();
  EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
}

// Each call of the device and of the pools fails in turn: a status, nothing lost, and the same again works.
TEST(CapturedStep, AFailureAnywhereLosesNothing) {
  const auto faults = std::make_shared<Faults>();
  Options options = DeterministicOptions(1);
  options.devices[0].faults = faults;
  const auto outstanding = [&faults] {
    return std::vector<std::int64_t>{faults->outstanding(FaultPoint::kCreateStream),
                                     faults->outstanding(FaultPoint::kCreateEvent),
                                     faults->outstanding(FaultPoint::kReserve), faults->outstanding(FaultPoint::kPin)};
  };
  std::vector<std::int64_t> of_one_run;
  std::uint64_t failed = 0;
  std::uint64_t calls = 1;
  for (std::uint64_t call = 0; call <= calls; ++call) {
    {
      Program p(options);
      Small small(p);
      const std::uint64_t live = p.runtime->statistics().device.live;
      const auto run = [&]() -> Status {
        TIERLIB_ASSIGN_OR_RETURN(const CapturedStep step, small.TryCapture());
        return p.runtime->Launch(step, p.compute());
      };
      faults->Arm({.call = call});
      const Status status = run();
      if (call == 0) calls = faults->calls();
      faults->Disarm();
      failed += status.ok() ? 0 : 1;  // some calls have another way
      if (status.ok()) {
        EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, 3)) << "call " << call;
      }
      ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
      EXPECT_EQ(p.runtime->statistics().device.live, live) << "call " << call;
      EXPECT_EQ(p.runtime->statistics().pinned.live, 0u) << "call " << call;
      const Status again = run();
      EXPECT_TRUE(again.ok()) << "call " << call << ": " << again;
      EXPECT_EQ(ReadBytes(p, small.out.data), Bytes(kBytes, 3)) << "call " << call;
    }
    // What the program itself leaves behind is the same in each run.
    const std::vector<std::int64_t> left = outstanding();
    if (call == 0) of_one_run = left;
    for (std::size_t i = 0; i < left.size(); ++i) {
      EXPECT_EQ(left[i], of_one_run[i] * static_cast<std::int64_t>(call + 1)) << "call " << call << ", point " << i;
    }
  }
  EXPECT_GT(failed, 30u);
}

}  // namespace
}  // namespace tierlib
