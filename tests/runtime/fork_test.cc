// A forked child and its parent's runtime: refused with a status, let go without a trace, and untouched in the parent.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/device_factory.h"
#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"
#include "base/thread_pool.h"
#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "runtime/child.h"
#include "runtime/program.h"
#include "tierlib/memory_resource.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = KiB(64);

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

// Threads of every kind: streams, kernels, memory grown ahead.
Options ThreadedOptions() {
  Options options;
  options.devices[0].capacity = MiB(16);
  options.devices[0].emulated.kernel_threads = 2;
  options.pinned_limit = MiB(32);
  options.pageable_limit = MiB(1);
  return options;
}

class Fork : public testing::Test {
 protected:
  void SetUp() override {
    if (!kMayFork) GTEST_SKIP() << kNoForkHere;
  }
};

// "" where the status is the refusal, else the function's name and what it gave.
std::string Refusal(const char* function, const Status& status, pid_t parent) {
  const std::string expected =
      "this runtime belongs to process " + std::to_string(parent) + "; after fork() make a new one";
  if (status.code() == StatusCode::kFailedPrecondition && std::string(status.message()) == expected) return "";
  std::ostringstream text;
  text << function << ": " << status << "; ";
  return text.str();
}

std::string EveryVerb(Program& p, const Allocation& x, const Saved& saved, const Loaded& loaded, pid_t parent) {
  Runtime& r = *p.runtime;
  const Stream stream = p.compute();
  std::string wrong;
  const auto expect = [&](const char* function, const Status& status) { wrong += Refusal(function, status, parent); };
  expect("Register", r.Register(x.data, 1, 0, Holds::kTransient, "x").status());
  expect("Allocate", r.Allocate(1, Holds::kTransient, stream, "x").status());
  expect("Retire", r.Retire(x.storage, stream));
  expect("BeginWrite", r.BeginWrite(x.storage, stream));
  expect("Derive", r.Derive({x.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()));
  expect("Pack", r.Pack({x.storage, WholeOf(kSize)}, nullptr, stream, "x").status());
  expect("Unpack", r.Unpack(saved, stream).status());
  expect("Reclaim", r.Reclaim(0, 1).status());
  expect("CreateStream", r.CreateStream(0, "x").status());
  expect("Synchronize", r.Synchronize(stream));
  expect("Drain", r.Drain());
  expect("VerifyPlacement", r.VerifyPlacement(0).status());
  expect("health", r.health());
  expect("Trim", r.Trim(Tier::kPinned, 1).status());
  expect("OwnerOf", r.OwnerOf(x.data).status());
  expect("HostMemoryResource", HostMemoryResource::Create(r, Tier::kPinned).status());
  expect("UsedOn", loaded.UsedOn(stream));
  r.BeginStep(1);
  r.BeginBackward();
  r.EndStep();
  if (r.statistics().total.packs != 0) wrong += "statistics() is not empty; ";
  if (r.options().pinned_limit != MiB(32)) wrong += "options() are others; ";
  return wrong;
}

TEST_F(Fork, RefusesEveryVerbInTheChildAndLetsEverythingGo) {
  for (const bool hardened : {false, true}) {
    Options options = ThreadedOptions();
    options.hardened = hardened;
    auto p = std::make_unique<Program>(options);
    const Allocation x = p->Make(Pattern(1));
    std::optional<Saved> saved = p->Pack(x.storage, WholeOf(kSize));
    std::optional<Loaded> loaded = p->runtime->Unpack(*saved, p->compute()).value();
    const pid_t parent = getpid();
    EXPECT_EQ(InChild([&] {
                std::string wrong = EveryVerb(*p, x, *saved, *loaded, parent);
                loaded.reset();
                p->runtime.reset();
                saved.reset();  // the last one: it outlives the runtime
                return wrong;
              }),
              "");
    p->Retire(x.storage);
    EXPECT_EQ(p->Unpack(*saved), Pattern(1));
    EXPECT_EQ(p->ledger().packs, 1u);
    EXPECT_TRUE(p->runtime->health().ok());
  }
}

TEST_F(Fork, RefusesCapturesAndLetsCapturedStepsGo) {
  auto p = std::make_unique<Program>(ThreadedOptions());
  const Allocation x = p->Make(Pattern(1));
  CaptureOptions room;
  room.device_bytes = room.pinned_bytes = 4 * kSize;
  const auto capture = [&] {
    const Stream stream = p->runtime->BeginCapture(0, room).value()[0];
    const Allocation made = p->runtime->Allocate(kSize, Holds::kTransient, stream, "made").value();
    EXPECT_TRUE(p->runtime->Pack({x.storage, WholeOf(kSize)}, nullptr, stream, "x").ok());
    EXPECT_TRUE(p->runtime->Pack({made.storage, WholeOf(kSize)}, nullptr, stream, "made").ok());
    return stream;
  };
  std::optional<CapturedStep> step = p->runtime->EndCapture(capture()).value();
  const Stream under_way = capture();
  const pid_t parent = getpid();
  EXPECT_EQ(InChild([&] {
              std::string wrong = Refusal("Launch", p->runtime->Launch(*step, p->compute()), parent);
              wrong += Refusal("BeginCapture", p->runtime->BeginCapture(0, room).status(), parent);
              wrong += Refusal("EndCapture", p->runtime->EndCapture(under_way).status(), parent);
              wrong += Refusal("Pack", p->runtime->Pack({x.storage, WholeOf(kSize)}, nullptr, under_way, "x").status(),
                               parent);
              p->runtime->BeginBackward();
              step.reset();
              p->runtime.reset();
              return wrong;
            }),
            "");
  ASSERT_TRUE(p->runtime->EndCapture(under_way).ok());
  ASSERT_TRUE(p->runtime->Launch(*step, p->compute()).ok());
  ASSERT_TRUE(p->runtime->Synchronize(p->compute()).ok());
  EXPECT_EQ(p->ledger().packs, 2u);
}

// The library's locks, at any point of what the parent's threads do. AddressSanitizer's allocator has one of its own,
// which stays locked for good in a child that is forked while another thread allocates or frees.
TEST_F(Fork, AsksForNoLockThatAThreadOfTheParentMayHold) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a child may find AddressSanitizer's allocator locked";
#endif
  auto p = std::make_unique<Program>(ThreadedOptions());
  const Allocation x = p->Make(Pattern(1));
  std::optional<Saved> kept = p->Pack(x.storage, WholeOf(kSize));
  std::optional<Loaded> loaded = p->runtime->Unpack(*kept, p->compute()).value();
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  std::vector<std::thread> busy;
  for (std::uint64_t i = 0; i < 2; ++i) {
    busy.emplace_back([&, i] {
      const Stream stream = p->streams[i];
      while (!stop) {
        const Allocation y = p->runtime->Allocate(KiB(16), Holds::kTransient, stream, "y").value();
        const Saved saved = p->runtime->Pack({y.storage, WholeOf(KiB(16))}, nullptr, stream, "y").value();
        ASSERT_TRUE(p->runtime->Retire(y.storage, stream).ok());
        ASSERT_TRUE(p->runtime->Unpack(saved, stream).ok());
        ++rounds;
      }
    });
  }
  const pid_t parent = getpid();
  for (int i = 0; i < 40; ++i) {
    const int before = rounds;
    while (rounds == before) std::this_thread::yield();
    EXPECT_EQ(InChild([&] {
                std::string wrong = EveryVerb(*p, x, *kept, *loaded, parent);
                loaded.reset();
                kept.reset();
                p->runtime.reset();
                return wrong;
              }),
              "")
        << "fork " << i;
  }
  stop = true;
  for (std::thread& thread : busy) thread.join();
  EXPECT_EQ(p->Unpack(*kept), Pattern(1));
}

bool OtherThreadsSleep() {
  const std::string self = std::to_string(gettid());
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(thread.path() / "stat");
    std::string stat;
    if (thread.path().filename() == self || !std::getline(file, stat)) continue;
    if (stat.substr(stat.rfind(')') + 2, 1) != "S") return false;
  }
  return true;
}

// All work has ended, and what it left is gone: nobody allocates.
void Settle(Program& p) {
  EXPECT_TRUE(p.runtime->Drain().ok());
  for (const Stream stream : p.streams) EXPECT_TRUE(p.runtime->Synchronize(stream).ok());
  while (!OtherThreadsSleep()) std::this_thread::yield();
}

std::string MakeOneAndUseIt(const Options& options) {
  Program own(options);
  const Allocation x = own.Make(Pattern(2));
  const Saved saved = own.Pack(x.storage, WholeOf(kSize));
  own.Retire(x.storage);
  return own.Unpack(saved) == Pattern(2) && !testing::Test::HasFailure() ? "" : "other bytes";
}

TEST_F(Fork, AChildMayMakeARuntimeOfItsOwn) {
  Program p(ThreadedOptions());
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  Settle(p);
  EXPECT_EQ(InChild([&] {
              std::string wrong = MakeOneAndUseIt(ThreadedOptions());
              Program own(ThreadedOptions());
              Settle(own);
              const pid_t child = getpid();
              wrong += InChild([&] {  // and so may its own child
                return Refusal("grandchild", own.runtime->Drain(), child) + MakeOneAndUseIt(ThreadedOptions());
              });
              return wrong + (own.runtime->Drain().ok() ? "" : "the child's own is refused too");
            }),
            "");
  p.Retire(x.storage);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
}

TEST_F(Fork, LeavesReferencesOnTheProgramsMemoryAlone) {
  Program p(ThreadedOptions(), /*with_memory=*/true);
  Bytes memory = Pattern(3);
  int dropped = 0;
  Keepalive keepalive(memory.data(), [&dropped](void*) { ++dropped; });
  const StorageId id = p.runtime->Register(memory.data(), kSize, 0, Holds::kTransient, "adopted").value();
  std::optional<Saved> saved = p.runtime->Pack({id, WholeOf(kSize)}, std::move(keepalive), p.compute(), "x").value();
  EXPECT_EQ(InChild([&] {
              saved.reset();
              p.runtime.reset();
              return std::string(dropped == 0 ? "" : "the child dropped it");
            }),
            "");
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.Retire(id);
  EXPECT_EQ(p.Unpack(*saved), Pattern(3));
  saved.reset();
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(dropped, 1);
}

TEST_F(Fork, WritesNothingToTheParentsTrace) {
  const TemporaryFolder folder;
  Options options = ThreadedOptions();
  options.trace = folder / "parent.tlt";
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  std::optional<Saved> saved = p.Pack(x.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Drain().ok());
  // Behind the header, in which the parent's own thread notes what its clocks say, once a second.
  const auto records = [&] { return ReadWhole(options.trace).substr(4096); };
  const std::string before = records();
  EXPECT_EQ(InChild([&] {
              p.runtime->BeginStep(1);
              p.runtime->EndStep();
              saved.reset();
              p.runtime.reset();
              return std::string();
            }),
            "");
  EXPECT_TRUE(records() == before);
  p.runtime->BeginStep(1);
  EXPECT_FALSE(records() == before) << "the parent goes on";
}

// "rd wr ... dc ..." of the mapping that has the address.
std::string FlagsOf(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;  // NOLINT: scanf's type
    unsigned long end = 0;    // NOLINT
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<std::uintptr_t>(address);
      inside = begin <= at && at < end;
    }
    if (inside && line.rfind("VmFlags:", 0) == 0) return line + " ";
  }
  return "";
}

TEST_F(Fork, GivesTheChildNoPageThatADeviceMayCopyTo) {
  for (const Tier tier : {Tier::kPinned, Tier::kPageable}) {
    HostSourceOptions options;
    options.tier = tier;
    options.capacity = MiB(4);
    const auto source = GrowAhead(MakeHostSource(options).value(), MiB(1));
    ASSERT_TRUE(source->Grow(MiB(1)).ok());
    std::byte* const at = source->base();
    *at = std::byte{7};
    const bool shared = FlagsOf(at).find(" dc ") == std::string::npos;
    EXPECT_EQ(shared, tier == Tier::kPageable) << FlagsOf(at);
    const std::string said = InChild([&] { return std::string(*at == std::byte{7} ? "read" : "other bytes"); });
    EXPECT_EQ(said == "read", shared) << said;
    *at = std::byte{8};
  }
}

// In the child something else may be where the parent's pinned memory is.
TEST_F(Fork, DestructorsOfTheLayersBelowTouchNothing) {
  DeviceOptions options;
  options.capacity = MiB(8);
  std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
  const Stream stream = device->CreateStream("a").value();
  HostSourceOptions host;
  host.capacity = MiB(8);
  host.device = device.get();
  const auto make_pool = [&](std::unique_ptr<MemorySource> source, bool hardened) {
    BlockPool::Options pool{.source = std::move(source), .device = device.get()};
    if (hardened) pool.hardening = device->CreateStream("hardening").value();
    return std::make_unique<BlockPool>(std::move(pool));
  };
  auto plain = make_pool(GrowAhead(MakeHostSource(host).value(), MiB(1)), false);
  auto hardened = make_pool(MakeDeviceSource(*device).value(), true);
  auto ahead = GrowAhead(MakeHostSource(host).value(), MiB(1));
  auto workers = std::make_unique<ThreadPool>(3);
  ASSERT_TRUE(ahead->Grow(MiB(1)).ok());
  std::byte* const pinned = ahead->base();
  void* const a = plain->Allocate(1000, stream).value();
  void* const b = hardened->Allocate(1000, stream).value();
  HostKernel gate;
  std::atomic<bool> open{false};
  gate.run = [&open](KernelContext&) { open.wait(false); };
  ASSERT_TRUE(device->Launch(stream, std::move(gate)).ok());
  EXPECT_EQ(InChild([&] {
              void* const here = mmap(pinned, MiB(1), PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
              if (here != pinned) return std::string("the pinned memory is still there");
              *pinned = std::byte{9};
              plain.reset();
              hardened.reset();
              ahead.reset();
              workers.reset();
              device.reset();
              return std::string(*pinned == std::byte{9} ? "" : "the child's own mapping was cleared");
            }),
            "");
  open = true;
  open.notify_all();
  plain->Free(a, {stream});
  hardened->Free(b, {stream});
  ASSERT_TRUE(device->Synchronize().ok());
}

}  // namespace
}  // namespace tierlib
