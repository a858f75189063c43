// The small programs that the fault loops run. Each drops all that it made before Finish.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/fault_trial.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

Layout Transposed(std::int64_t side) { return {DType::kU8, {side, side}, {1, side}, 0}; }

Options WithChecksums(Options options) {
  options.checksums = true;
  return options;
}

Options InChunks(Options options) {
  options.devices[0].chunk_bytes = kSize / 3;
  return options;
}

Options WithoutAPool(Options options) {
  options.devices[0].backing = DeviceBacking::kMallocAsync;
  return options;
}

Options Hardened(Options options) {
  options.hardened = true;
  return options;
}

Options Gathered(Options options) {
  options.devices[0].coalesce_bytes = 8 * kSize;
  return options;
}

void CreateAndDestroy(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start();
  t.Finish();
}

void RegisterPackUnpack(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start(/*with_memory=*/true);
  for (std::uint64_t i = 0; i < 3; ++i) {
    Adopted x = t.AdoptOne(Pattern(i));
    Saved saved = t.Pack(x.storage, WholeOf(kSize), x.memory);
    t.Retire(x.storage);
    t.Drop(x.memory);
    if (i == 1) t.Drain();
    t.ExpectBack(saved, Pattern(i));
    t.ExpectBack(saved, Pattern(i));
    t.Drop(saved);
  }
  t.Finish();
}

void AllocateWhereTheDeviceIsFull(Injector& injector, const Options& base) {
  Options options = base;
  options.policy = OffloadPolicy::kFit;
  options.devices[0].capacity = 16 * kSize;
  Trial t(injector, options);
  t.Start();
  std::vector<Saved> saved;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const Allocation x = t.Make(Pattern(i, 4 * kSize));
    saved.push_back(t.Pack(x.storage, WholeOf(4 * kSize)));
    t.Retire(x.storage);
  }
  for (std::uint64_t i = 6; i-- > 0;) t.ExpectBack(saved[i], Pattern(i, 4 * kSize));
  t.Drop(saved);
  t.Finish();
}

void SeveralViews(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start();
  {
    const Allocation x = t.Make(Pattern(1));
    std::vector<Saved> saved;
    for (const Layout& layout :
         {PartOf(0, 1024), PartOf(512, 2048), Transposed(64), WholeOf(kSize), PartOf(100, 200)}) {
      saved.push_back(t.Pack(x.storage, layout));
    }
    t.ExpectBack(saved[0], Pattern(1));
    t.Retire(x.storage);
    for (const Saved& one : saved) t.ExpectBack(one, Pattern(1));
    t.Drop(saved);
  }
  t.Finish();
}

void ReplayLineage(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start();
  {
    const auto launch = [&t](const ReplayArguments& a) {
      const NotInjecting paused(t.injector);
      HostKernel kernel;
      kernel.name = "same";
      kernel.run = [a](KernelContext&) { std::memcpy(a.destination, a.source, kSize); };
      return t.device->Launch(a.stream, std::move(kernel));
    };
    const Allocation x = t.Make(Pattern(1));
    const Allocation y = t.Make(Pattern(1));
    const Allocation z = t.Make(Pattern(1));
    t.Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy());
    t.Derive({z.storage, WholeOf(kSize)}, {y.storage, WholeOf(kSize)}, Replay::Call("same", launch));
    std::vector<Saved> saved;
    for (const Allocation& one : {x, y, z}) saved.push_back(t.Pack(one.storage, WholeOf(kSize)));
    for (const Allocation& one : {x, y, z}) t.Retire(one.storage);
    t.ExpectBack(saved[2], Pattern(1));
    t.ExpectBack(saved[1], Pattern(1), 1);
    t.ExpectBack(saved[0], Pattern(1));
    t.Drop(saved);
  }
  t.Finish();
}

// y is claimed, z is computed again where the host has no room, both from x.
void ComputeAgain(Injector& injector, const Options& base) {
  Options options = base;
  options.pinned_limit = kSize;
  options.pageable_limit = 0;
  Trial t(injector, options);
  t.Start();
  {
    const Allocation x = t.Make(Pattern(1));
    Saved input = t.Pack(x.storage, WholeOf(kSize));
    const auto compute = [&t, input](const RecomputeArguments& a) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, t.runtime->Unpack(input, a.stream));
      const NotInjecting paused(t.injector);
      HostKernel kernel;
      kernel.name = "same";
      kernel.run = [to = a.destination, from = loaded.origin()](KernelContext&) { std::memcpy(to, from, kSize); };
      return t.device->Launch(a.stream, std::move(kernel));
    };
    std::vector<Saved> saved;
    for (const bool always : {true, false}) {
      const Allocation y = t.Make(Pattern(1));
      (void)t.Try("recomputes", [&] {
        return t.runtime->Recomputes({y.storage, WholeOf(kSize)}, {compute, "same", 0, always});
      });
      saved.push_back(t.Pack(y.storage, WholeOf(kSize)));
      saved.push_back(t.Pack(y.storage, PartOf(0, 100)));
      t.Retire(y.storage);
    }
    t.Retire(x.storage);
    EXPECT_GE(t.runtime->statistics().total.avoided_recompute, kSize) << "the other where the input took the room";
    for (const Saved& one : saved) t.ExpectBack(one, Pattern(1));
    (void)t.Try("reclaim", [&] { return t.runtime->Reclaim(0, MiB(1)); });
    for (const Saved& one : saved) t.ExpectBack(one, Pattern(1), 1);
    t.Drop(saved);
    t.Drop(input);
  }
  t.Finish();
}

void WriteAfterPack(Injector& injector, const Options& base) {
  Options options = base;
  options.write_waits = true;
  Trial t(injector, options);
  t.Start();
  {
    const Allocation x = t.Make(Pattern(1));
    const Allocation y = t.Make(Pattern(1));
    t.Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy());
    Saved early = t.Pack(x.storage, PartOf(0, 512));
    Saved copy = t.Pack(y.storage, PartOf(0, 256));
    t.Retire(y.storage);
    (void)t.Try("begin write", [&] { return t.runtime->BeginWrite(x.storage, t.streams[0]); });
    t.Write(x.data, Pattern(2));
    Saved late = t.Pack(x.storage, WholeOf(kSize));
    t.Retire(x.storage);
    t.ExpectBack(copy, Pattern(1));
    t.ExpectBack(late, Pattern(2));
    EXPECT_EQ(t.runtime->Unpack(early, t.streams[0]).status().code(), StatusCode::kFailedPrecondition);
    for (Saved* saved : {&early, &copy, &late}) t.Drop(*saved);
  }
  t.Finish();
}

void ReloadIntoTheProgramsMemory(Injector& injector, const Options& base) {
  Options options = base;
  Trial* running = nullptr;
  auto allocator = std::make_shared<DeviceAllocator>();
  options.devices[0].allocator = allocator;
  Trial t(injector, options);
  running = &t;
  *allocator = *running->Allocator();
  t.Start(/*with_memory=*/true);
  {
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 3; ++i) {
      Adopted x = t.AdoptOne(Pattern(i));
      saved.push_back(t.Pack(x.storage, i == 1 ? Transposed(64) : WholeOf(kSize), x.memory));
      t.Retire(x.storage);
    }
    t.Drain();
    for (std::uint64_t i = 3; i-- > 0;) {
      t.ExpectBack(saved[i], Pattern(i));
      Loaded again = t.Unpack(saved[i], 1);
      EXPECT_TRUE(again.UsedOn(t.streams[0]).ok());
      t.Drop(again);
    }
    t.Drop(saved);
  }
  t.Finish();
}

void TwoStreams(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start();
  for (std::uint64_t i = 0; i < 4; ++i) {
    const int here = static_cast<int>(i % 2);
    const Allocation x = t.Make(Pattern(i), Holds::kTransient, here);
    Saved saved = t.Pack(x.storage, WholeOf(kSize), nullptr, here);
    t.Order(1 - here);
    t.Retire(x.storage, 1 - here);
    Loaded loaded = t.Unpack(saved, 1 - here);
    EXPECT_EQ(t.Read(loaded, 1 - here), Pattern(i));
    EXPECT_TRUE(loaded.UsedOn(t.streams[static_cast<std::size_t>(here)]).ok());
    t.Drop(saved);
    t.Drop(loaded);
  }
  t.Finish();
}

void DrainWithFewInFlight(Injector& injector, const Options& base) {
  Options options = base;
  options.devices[0].in_flight_limit = 2 * kSize;
  options.devices[0].reload_budget = 2 * kSize;
  Trial t(injector, options);
  t.Start();
  {
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 5; ++i) {
      const Allocation x = t.Make(Pattern(i));
      saved.push_back(t.Pack(x.storage, WholeOf(kSize)));
      t.Retire(x.storage);
    }
    t.Drain();
    for (std::uint64_t i = 0; i < 5; ++i) t.ExpectBack(saved[i], Pattern(i));
    t.Drop(saved);
  }
  t.Finish();
}

void Reclaim(Injector& injector, const Options& base) {
  Options options = base;
  options.policy = OffloadPolicy::kFit;
  Trial t(injector, options);
  t.Start(/*with_memory=*/true);
  {
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const Allocation x = t.Make(Pattern(i));
      saved.push_back(t.Pack(x.storage, WholeOf(kSize)));
      t.Retire(x.storage);
    }
    {
      const Adopted x = t.AdoptOne(Pattern(4));
      saved.push_back(t.Pack(x.storage, PartOf(64, 2048), x.memory));
      t.Retire(x.storage);
    }
    (void)t.Try("reclaim", [&] { return t.runtime->Reclaim(0, 2 * kSize); });
    t.ExpectBack(saved[0], Pattern(0));
    (void)t.Try("reclaim", [&] { return t.runtime->Reclaim(0, MiB(1)); });
    for (std::uint64_t i = 0; i < 5; ++i) t.ExpectBack(saved[i], Pattern(i));
    t.Drop(saved);
  }
  t.Finish();
}

void HostExhausted(Injector& injector, const Options& base) {
  Options options = base;
  options.pinned_limit = 2 * kSize;
  options.pageable_limit = 2 * kSize;
  Trial t(injector, options);
  t.Start();
  {
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 6; ++i) {
      const Allocation x = t.Make(Pattern(i));
      saved.push_back(t.Pack(x.storage, WholeOf(kSize)));
      t.Retire(x.storage);
    }
    for (std::uint64_t i = 0; i < 6; ++i) t.ExpectBack(saved[i], Pattern(i));
    t.Drop(saved);
  }
  t.Finish();
}

void HostExhaustedToAFile(Injector& injector, const Options& base) {
  Options options = base;
  options.file_directory = std::filesystem::temp_directory_path().string();
  options.file_limit = 3 * kSize;
  HostExhausted(injector, options);
}

void Traced(Injector& injector, const Options& base) {
  Options options = base;
  options.trace = (std::filesystem::temp_directory_path() / "tierlib_fault_loop_%p.trace").string();
  Trial t(injector, options);
  t.Start();
  (void)t.Try("begin step", [&] { return t.runtime->BeginStep(1), OkStatus(); });
  {
    const Allocation x = t.Make(Pattern(1));
    Saved saved = t.Pack(x.storage, WholeOf(kSize));
    t.Retire(x.storage);
    (void)t.Try("begin backward", [&] { return t.runtime->BeginBackward(), OkStatus(); });
    t.ExpectBack(saved, Pattern(1));
    t.Drain();
    t.Drop(saved);
  }
  (void)t.Try("end step", [&] { return t.runtime->EndStep(), OkStatus(); });
  const std::string path = t.runtime->core()->recorder()->path();
  t.Finish();
  std::filesystem::remove(path);
}

// The second step moves what the first one's peak needs.
void TargetPeak(Injector& injector, const Options& base) {
  Options options = base;
  options.policy = OffloadPolicy::kFit;
  options.devices[0].target_peak = 3 * kSize;
  Trial t(injector, options);
  t.Start();
  for (std::uint64_t step = 1; step <= 2; ++step) {
    (void)t.Try("begin step", [&] { return t.runtime->BeginStep(step), OkStatus(); });
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const Allocation x = t.Make(Pattern(i));
      saved.push_back(t.Pack(x.storage, WholeOf(kSize)));
      t.Retire(x.storage);
    }
    (void)t.Try("begin backward", [&] { return t.runtime->BeginBackward(), OkStatus(); });
    for (std::uint64_t i = 4; i-- > 0;) t.ExpectBack(saved[i], Pattern(i));
    t.Drop(saved);
    (void)t.Try("end step", [&] { return t.runtime->EndStep(), OkStatus(); });
    (void)t.Try("statistics", [&] { return (void)t.runtime->statistics(), OkStatus(); });
  }
  t.Finish();
}

void CopyNaively(Injector& injector, const Options& base) {
  Options options = base;
  options.mode = OffloadMode::kNaive;
  Trial t(injector, options);
  t.Start();
  {
    const Allocation x = t.Make(Pattern(1));
    std::vector<Saved> saved;
    for (const Layout& layout : {WholeOf(kSize), Transposed(64), PartOf(512, 2048)}) {
      saved.push_back(t.Pack(x.storage, layout));
    }
    t.Retire(x.storage);
    for (const Saved& one : saved) t.ExpectBack(one, Pattern(1));
    t.Drop(saved);
  }
  t.Finish();
}

void AskForFigures(Injector& injector, const Options& base) {
  Trial t(injector, base);
  t.Start();
  {
    const Allocation x = t.Make(Pattern(1));
    Saved saved = t.Pack(x.storage, WholeOf(kSize));
    (void)t.Try("statistics", [&] {
      EXPECT_GE(t.runtime->statistics().device.reserved, kSize);
      return OkStatus();
    });
    const StatusOr<Placement> placement = t.Try("verify placement", [&]() -> StatusOr<Placement> {
      StatusOr<Placement> told = t.runtime->VerifyPlacement(0);
      if (told.status().code() == StatusCode::kUnimplemented) return Placement();  // of a machine that does not tell
      return told;
    });
    (void)t.Try("health", [&] { return t.runtime->health(); });
    (void)t.Try("synchronize", [&] { return t.runtime->Synchronize(t.streams[0]); });
    t.Retire(x.storage);
    (void)t.Try("statistics", [&] {
      EXPECT_EQ(t.runtime->statistics().total.packs, 1u);
      return OkStatus();
    });
    t.ExpectBack(saved, Pattern(1));
    t.Drop(saved);
  }
  t.Finish();
}

}  // namespace

const std::vector<Scenario>& FaultScenarios() {
  static const std::vector<Scenario> scenarios = {
      {"CreateAndDestroy", CreateAndDestroy, 4},
      {"RegisterPackUnpack", RegisterPackUnpack, 20},
      {"AllocateWhereTheDeviceIsFull", AllocateWhereTheDeviceIsFull, 20},
      {"SeveralViews", SeveralViews, 20},
      {"ReplayLineage", ReplayLineage, 20},
      {"ComputeAgain", ComputeAgain, 20},
      {"WriteAfterPack", WriteAfterPack, 20},
      {"ReloadIntoTheProgramsMemory", ReloadIntoTheProgramsMemory, 20},
      {"TwoStreams", TwoStreams, 20},
      {"DrainWithFewInFlight", DrainWithFewInFlight, 20},
      {"Reclaim", Reclaim, 20},
      {"HostExhausted", HostExhausted, 20},
      {"HostExhaustedToAFile", HostExhaustedToAFile, 30},
      {"Traced", Traced, 20},
      {"TargetPeak", TargetPeak, 20},
      {"CopyNaively", CopyNaively, 20},
      {"AskForFigures", AskForFigures, 10},
      {"SeveralViewsWithChecksums", [](Injector& i, const Options& o) { SeveralViews(i, WithChecksums(o)); }, 30},
      {"ReplayLineageWithChecksums", [](Injector& i, const Options& o) { ReplayLineage(i, WithChecksums(o)); }, 30},
      {"ComputeAgainWithChecksums", [](Injector& i, const Options& o) { ComputeAgain(i, WithChecksums(o)); }, 30},
      {"RegisterPackUnpackInChunks", [](Injector& i, const Options& o) { RegisterPackUnpack(i, InChunks(o)); }, 40},
      {"SeveralViewsInChunks", [](Injector& i, const Options& o) { SeveralViews(i, InChunks(o)); }, 30},
      {"RegisterPackUnpackGathered", [](Injector& i, const Options& o) { RegisterPackUnpack(i, Gathered(o)); }, 20},
      {"AllocateGatheredWhereTheDeviceIsFull",
       [](Injector& i, const Options& o) { AllocateWhereTheDeviceIsFull(i, Gathered(o)); }, 20},
      {"SeveralViewsGathered", [](Injector& i, const Options& o) { SeveralViews(i, Gathered(o)); }, 20},
      {"WriteAfterPackGathered", [](Injector& i, const Options& o) { WriteAfterPack(i, Gathered(o)); }, 20},
      {"TwoStreamsGathered", [](Injector& i, const Options& o) { TwoStreams(i, Gathered(o)); }, 20},
      {"DrainWithFewInFlightGathered", [](Injector& i, const Options& o) { DrainWithFewInFlight(i, Gathered(o)); }, 20},
      {"ReclaimGathered", [](Injector& i, const Options& o) { Reclaim(i, Gathered(o)); }, 20},
      {"HostExhaustedGathered", [](Injector& i, const Options& o) { HostExhausted(i, Gathered(o)); }, 20},
      {"TracedGathered", [](Injector& i, const Options& o) { Traced(i, Gathered(o)); }, 20},
      {"CopyNaivelyGathered", [](Injector& i, const Options& o) { CopyNaively(i, Gathered(o)); }, 20},
      {"SeveralViewsGatheredWithChecksums",
       [](Injector& i, const Options& o) { SeveralViews(i, WithChecksums(Gathered(o))); }, 20},
      {"CreateAndDestroyWithoutAPool", [](Injector& i, const Options& o) { CreateAndDestroy(i, WithoutAPool(o)); }, 4},
      {"RegisterPackUnpackWithoutAPool", [](Injector& i, const Options& o) { RegisterPackUnpack(i, WithoutAPool(o)); },
       20},
      {"AllocateWithoutAPoolWhereTheDeviceIsFull",
       [](Injector& i, const Options& o) { AllocateWhereTheDeviceIsFull(i, WithoutAPool(o)); }, 20},
      {"SeveralViewsWithoutAPool", [](Injector& i, const Options& o) { SeveralViews(i, WithoutAPool(o)); }, 20},
      {"TwoStreamsWithoutAPool", [](Injector& i, const Options& o) { TwoStreams(i, WithoutAPool(o)); }, 20},
      {"TwoStreamsHardenedWithoutAPool",
       [](Injector& i, const Options& o) { TwoStreams(i, Hardened(WithoutAPool(o))); }, 40},
      {"CopyNaivelyWithChecksums", [](Injector& i, const Options& o) { CopyNaively(i, WithChecksums(o)); }, 20},
  };
  return scenarios;
}

}  // namespace tierlib
