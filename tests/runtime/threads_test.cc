// Several threads of a program use one Runtime at once. Under ThreadSanitizer this is where missing locks show.
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"
#include "runtime/tier_sums.h"

namespace tierlib {
namespace {

constexpr int kThreads = 4;
constexpr std::uint64_t kSize = 4096;

Options ThreadedOptions(OffloadMode mode, OffloadPolicy policy) {
  Options options = DeterministicOptions(1, mode, policy);
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  options.write_waits = true;
  return options;
}

// One thread of the program, with a stream of its own.
class Worker {
 public:
  Worker(Runtime& r, std::uint64_t seed)
      : random(seed), runtime(r), device(r.core()->backend(0)), stream(r.CreateStream(0, "worker").value()) {}

  void Write(void* to, const Bytes& bytes) {
    HostKernel kernel;
    kernel.name = "write";
    kernel.run = [to, bytes](KernelContext&) { std::memcpy(to, bytes.data(), bytes.size()); };
    ASSERT_TRUE(device.Launch(stream, std::move(kernel)).ok());
  }
  Bytes Read(const Loaded& loaded) {
    Bytes elements;
    HostKernel kernel;
    kernel.name = "read";
    kernel.run = [&elements, from = static_cast<const std::uint8_t*>(loaded.origin()),
                  layout = loaded.layout()](KernelContext&) { elements = ElementsOf(from, layout); };
    EXPECT_TRUE(device.Launch(stream, std::move(kernel)).ok());
    EXPECT_TRUE(runtime.Synchronize(stream).ok());
    return elements;
  }
  StatusOr<Bytes> Unpack(const Saved& saved) {
    TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, runtime.Unpack(saved, stream));
    return Read(loaded);
  }

  Random random;
  Runtime& runtime;
  DeviceBackend& device;
  const Stream stream;
};

void OnThreads(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
  for (std::thread& thread : threads) thread.join();
}

// Runs `body` on the threads while another one looks at the figures again and again, and holds that they add up.
void OnWatchedThreads(const Runtime& runtime, const std::function<void(int)>& body) {
  std::atomic<bool> ended{false};
  std::thread watching([&] {
    while (!ended) {
      ExpectAddsUp(runtime.statistics());
      std::this_thread::sleep_for(std::chrono::microseconds(50));  // the processors are for the others
    }
  });
  OnThreads(body);
  ended = true;
  watching.join();
}

void ExpectNothingLeft(Runtime& runtime) {
  ASSERT_TRUE(runtime.Drain().ok());
  const Statistics statistics = runtime.statistics();
  EXPECT_EQ(statistics.device.live + statistics.pinned.live + statistics.pageable.live, 0u);
  ExpectBookedOnce(statistics.total);
  EXPECT_TRUE(runtime.health().ok()) << runtime.health();
}

void WorkAlone(Worker& worker, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    const Bytes bytes = RandomBytes(worker.random, kSize);
    const Allocation x = worker.runtime.Allocate(kSize, Holds::kTransient, worker.stream, "x").value();
    const Allocation y = worker.runtime.Allocate(kSize, Holds::kTransient, worker.stream, "y").value();
    worker.Write(x.data, bytes);
    worker.Write(y.data, bytes);
    ASSERT_TRUE(worker.runtime.Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Layout part = RandomLayout(worker.random, kSize);
    const auto pack = [&](StorageId id, const Layout& layout) {
      return worker.runtime.Pack({id, layout}, nullptr, worker.stream, "saved").value();
    };
    const Saved whole = pack(x.storage, WholeOf(kSize));
    const Saved view = pack(x.storage, part);
    const Saved copy = pack(y.storage, WholeOf(kSize));
    ASSERT_TRUE(worker.runtime.Retire(x.storage, worker.stream).ok());
    ASSERT_TRUE(worker.runtime.Retire(y.storage, worker.stream).ok());
    if (round % 3 == 0) {
      ASSERT_TRUE(worker.runtime.Reclaim(0, kSize).ok());
    }
    ASSERT_EQ(worker.Unpack(copy).value(), bytes);
    ASSERT_EQ(worker.Unpack(view).value(), ElementsOf(bytes.data(), part));
    ASSERT_EQ(worker.Unpack(whole).value(), bytes);
  }
}

TEST(Threads, EachGetsItsOwnBytesBack) {
  const int rounds = std::max(5, 100 / TIERLIB_RANDOM_SCALE);
  const std::pair<OffloadMode, OffloadPolicy> treatments[] = {{OffloadMode::kOff, OffloadPolicy::kAll},
                                                              {OffloadMode::kNaive, OffloadPolicy::kAll},
                                                              {OffloadMode::kMarshal, OffloadPolicy::kAll},
                                                              {OffloadMode::kMarshal, OffloadPolicy::kFit}};
  for (const auto& [mode, policy] : treatments) {
    const std::unique_ptr<Runtime> runtime = Runtime::Create(ThreadedOptions(mode, policy)).value();
    OnWatchedThreads(*runtime, [&](int thread) {
      Worker worker(*runtime, static_cast<std::uint64_t>(thread) + 10);
      WorkAlone(worker, rounds);
    });
    ExpectNothingLeft(*runtime);
  }
}

TEST(Threads, EachGetsItsOwnBytesBackWhereEventsAreLateAndReordered) {
  const int rounds = std::max(5, 60 / TIERLIB_RANDOM_SCALE);
  for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      FaultPlan plan;
      plan.seed = seed;
      plan.slow_queries = static_cast<std::uint32_t>(seed);
      plan.slow_ns = seed % 2 == 0 ? 50'000 : 0;
      plan.reorder = true;
      Options options = ThreadedOptions(OffloadMode::kMarshal, policy);
      options.devices[0].faults = std::make_shared<Faults>(plan);
      const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
      OnWatchedThreads(*runtime, [&](int thread) {
        Worker worker(*runtime, static_cast<std::uint64_t>(thread) + 10 * seed);
        WorkAlone(worker, rounds);
      });
      ExpectNothingLeft(*runtime);
    }
  }
}

// All threads take the same values back at once: one on the host, one to be made again by a callback, both into memory
// of the program's allocator, while another thread takes the memory away again and again.
TEST(Threads, ShareValuesThatComeBack) {
  Options options = ThreadedOptions(OffloadMode::kMarshal, OffloadPolicy::kAll);
  auto allocator = std::make_shared<DeviceAllocator>();
  std::mutex mutex;
  std::atomic<int> live{0};
  std::vector<std::unique_ptr<Bytes>> memory;
  allocator->allocate = [&](std::size_t bytes, Stream) -> void* {
    const std::lock_guard<std::mutex> lock(mutex);
    ++live;
    memory.push_back(std::make_unique<Bytes>(bytes));  // never used twice: this test is about threads
    return memory.back()->data();
  };
  allocator->deallocate = [&](void*, std::size_t, Stream) { --live; };
  options.devices[0].allocator = allocator;
  std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  Worker maker(*runtime, 1);
  const Bytes bytes = RandomBytes(maker.random, kSize);
  std::atomic<int> replays{0};
  const Replay replay = Replay::Call("copy", [&](const ReplayArguments& arguments) {
    ++replays;
    HostKernel kernel;
    kernel.name = "replay";
    kernel.run = [arguments](KernelContext&) { std::memcpy(arguments.destination, arguments.source, kSize); };
    return runtime->core()->backend(0).Launch(arguments.stream, std::move(kernel));
  });
  std::vector<Saved> saved;
  {
    const Allocation x = runtime->Allocate(kSize, Holds::kTransient, maker.stream, "x").value();
    const Allocation y = runtime->Allocate(kSize, Holds::kTransient, maker.stream, "y").value();
    maker.Write(x.data, bytes);
    maker.Write(y.data, bytes);
    ASSERT_TRUE(runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay).ok());
    for (const StorageId id : {x.storage, y.storage}) {
      saved.push_back(runtime->Pack({id, WholeOf(kSize)}, nullptr, maker.stream, "shared").value());
      ASSERT_TRUE(runtime->Retire(id, maker.stream).ok());
    }
  }
  EXPECT_EQ(runtime->statistics().total.avoided_lineage, kSize);
  const int rounds = std::max(5, 200 / TIERLIB_RANDOM_SCALE);
  OnThreads([&](int thread) {
    Worker worker(*runtime, static_cast<std::uint64_t>(thread) + 20);
    for (int round = 0; round < rounds; ++round) {
      if (thread == 0) {
        ASSERT_TRUE(runtime->Reclaim(0, MiB(1)).ok());
        (void)runtime->statistics();
      } else {
        ASSERT_EQ(worker.Unpack(saved[worker.random.UniformInt(2)]).value(), bytes);
      }
    }
  });
  EXPECT_GT(replays, 0);
  saved.clear();
  ExpectNothingLeft(*runtime);
  EXPECT_EQ(live, 0);
}

// Keepalives are dropped by whatever thread finds that the copy ended; each once.
TEST(Threads, KeepalivesAreDroppedOnce) {
  const int rounds = std::max(5, 200 / TIERLIB_RANDOM_SCALE);
  std::atomic<int> dropped{0};
  std::vector<Bytes> memory(kThreads, Bytes(kSize, 1));
  {
    const std::unique_ptr<Runtime> runtime =
        Runtime::Create(ThreadedOptions(OffloadMode::kMarshal, OffloadPolicy::kAll)).value();
    OnThreads([&](int thread) {
      Worker worker(*runtime, static_cast<std::uint64_t>(thread));
      for (int round = 0; round < rounds; ++round) {
        Bytes& mine = memory[static_cast<std::size_t>(thread)];
        const StorageId id = runtime->Register(mine.data(), kSize, 0, Holds::kTransient, "adopted").value();
        const Keepalive keepalive(mine.data(), [&](void*) {
          ++dropped;
          (void)runtime->statistics();
        });
        const Saved saved = runtime->Pack({id, WholeOf(kSize)}, keepalive, worker.stream, "saved").value();
        ASSERT_TRUE(runtime->Retire(id, worker.stream).ok());
        ASSERT_EQ(worker.Unpack(saved).value(), mine);
      }
    });
    ASSERT_TRUE(runtime->Drain().ok());
  }
  EXPECT_EQ(dropped, kThreads * rounds);
}

// Handles dropped by one thread while another ends the runtime.
TEST(Threads, HandlesAreDroppedWhileTheRuntimeEnds) {
  for (int run = 0; run < std::max(3, 30 / TIERLIB_RANDOM_SCALE); ++run) {
    std::unique_ptr<Runtime> runtime =
        Runtime::Create(ThreadedOptions(OffloadMode::kMarshal, OffloadPolicy::kAll)).value();
    std::vector<Saved> saved;
    std::vector<Loaded> loaded;
    {
      Worker worker(*runtime, 1);
      for (int i = 0; i < 8; ++i) {
        const Allocation x = runtime->Allocate(kSize, Holds::kTransient, worker.stream, "x").value();
        worker.Write(x.data, Bytes(kSize, 3));
        saved.push_back(runtime->Pack({x.storage, WholeOf(kSize)}, nullptr, worker.stream, "saved").value());
        ASSERT_TRUE(runtime->Retire(x.storage, worker.stream).ok());
        loaded.push_back(runtime->Unpack(saved.back(), worker.stream).value());
      }
    }
    std::thread dropping([&] {
      while (!saved.empty()) {
        saved.pop_back();
        loaded.pop_back();
      }
    });
    runtime.reset();
    dropping.join();
  }
}

// --- writes while a callback runs ------------------------------------------------------------------------------------

// y is made again from x by a callback, into memory of the program's allocator. While one of them runs, with no lock
// held, another thread announces a write to x and writes.
class WriteDuringACallback {
 public:
  enum class During { kAllocate, kReplay };

  WriteDuringACallback(Options options, Holds holds, During during) : during_(during) {
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [this](std::size_t bytes, Stream) -> void* {
      if (during_ == During::kAllocate) WriteOnce();
      memory_.push_back(std::make_unique<Bytes>(bytes));
      return memory_.back()->data();
    };
    allocator->deallocate = [](void*, std::size_t, Stream) {};
    options.devices[0].allocator = std::move(allocator);
    runtime_ = Runtime::Create(options).value();
    maker_ = std::make_unique<Worker>(*runtime_, 1);
    before_ = RandomBytes(maker_->random, kSize);
    after_ = RandomBytes(maker_->random, kSize);
    x_ = runtime_->Allocate(kSize, holds, maker_->stream, "x").value();
    maker_->Write(x_.data, before_);
  }

  void Run() {
    const Allocation y = runtime_->Allocate(kSize, Holds::kTransient, maker_->stream, "y").value();
    maker_->Write(y.data, before_);
    const Replay replay = Replay::Call("copy", [this](const ReplayArguments& a) { return Make(a); });
    ASSERT_TRUE(runtime_->Derive({y.storage, WholeOf(kSize)}, {x_.storage, WholeOf(kSize)}, replay).ok());
    const Saved sx = Pack(x_.storage);
    const Saved sy = Pack(y.storage);
    ASSERT_TRUE(runtime_->Retire(y.storage, maker_->stream).ok());
    ASSERT_TRUE(runtime_->Drain().ok());
    ASSERT_EQ(runtime_->statistics().total.avoided_lineage, kSize);
    armed_ = true;
    EXPECT_EQ(maker_->Unpack(sy).value(), before_);
    EXPECT_FALSE(armed_);
    ASSERT_TRUE(runtime_->Reclaim(0, MiB(4)).ok());
    EXPECT_EQ(maker_->Unpack(sy).value(), before_) << "what was kept of it";
    ExpectBookedOnce(runtime_->statistics().total);
  }

 private:
  Saved Pack(StorageId id) { return runtime_->Pack({id, WholeOf(kSize)}, nullptr, maker_->stream, "saved").value(); }

  void WriteOnce() {
    if (!armed_.exchange(false)) return;
    std::thread writing([this] {
      Worker worker(*runtime_, 2);
      ASSERT_TRUE(runtime_->BeginWrite(x_.storage, worker.stream).ok());
      worker.Write(x_.data, after_);
      ASSERT_TRUE(runtime_->Synchronize(worker.stream).ok());
    });
    writing.join();
  }

  Status Make(const ReplayArguments& arguments) {
    if (during_ == During::kReplay) WriteOnce();
    HostKernel kernel;
    kernel.name = "replay";
    kernel.run = [arguments](KernelContext&) { std::memcpy(arguments.destination, arguments.source, kSize); };
    return runtime_->core()->backend(0).Launch(arguments.stream, std::move(kernel));
  }

  const During during_;
  std::atomic<bool> armed_{false};
  std::vector<std::unique_ptr<Bytes>> memory_;  // by one thread at a time: `writing` runs inside a callback
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Worker> maker_;
  Bytes before_, after_;
  Allocation x_;
};

TEST(Threads, AWriteDuringACallbackTearsNothing) {
  using During = WriteDuringACallback::During;
  for (const During during : {During::kAllocate, During::kReplay}) {
    for (const Holds holds : {Holds::kTransient, Holds::kPersistent}) {  // x is on the host too; on the device only
      for (const bool host_is_full : {false, true}) {
        Options options = ThreadedOptions(OffloadMode::kMarshal, OffloadPolicy::kAll);
        if (host_is_full) options.pinned_limit = options.pageable_limit = holds == Holds::kTransient ? kSize : 0;
        SCOPED_TRACE(std::to_string(static_cast<int>(during)) + std::to_string(static_cast<int>(holds)) +
                     std::to_string(host_is_full));
        WriteDuringACallback(options, holds, during).Run();
      }
    }
  }
}

}  // namespace
}  // namespace tierlib
