// Random programs near and above the capacity of their device: a call that answers ResourceExhausted has tried all
// there is. The same call again fails too, and so it does after everything in flight has ended: memory that was about
// to be free never makes a call fail. The programs hide memory where it comes back late: in keepalives that copies
// still need, and in replays that own storages and saved values.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kOwnMemory = KiB(40);   // of the program
constexpr std::uint64_t kPoolMemory = KiB(48);  // that is left to the pool

// Things of the program that go when something else goes. Their end calls the runtime.
struct Burden {
  ~Burden() {
    saved.clear();
    for (const StorageId id : storages) (void)p->runtime->Retire(id, p->compute());
  }
  Program* p = nullptr;
  std::vector<Saved> saved;
  std::vector<StorageId> storages;
};

struct Tensor {
  StorageId storage;
  std::uint64_t bytes = 0;
  Keepalive memory;  // of an adopted one
};

struct Variant {
  const char* name;
  OffloadMode mode;
  OffloadPolicy policy;
  void (*change)(Options& options);
  bool with_allocator = false;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class CrowdedProgram {
 public:
  CrowdedProgram(Options options, std::uint64_t seed, bool with_allocator)
      : random_(seed), p_(WithAllocator(std::move(options), with_allocator)) {
    p_.memory = std::make_unique<ProgramMemory>(*p_.device, kOwnMemory);
  }
  ~CrowdedProgram() {
    loaded_.clear();
    saved_.clear();
    while (!tensors_.empty()) RetireAt(0);
    memories_.clear();
    // Replays are forgotten, and with what they own, others are.
    for (std::uint64_t live = 1, before = 0; live != before;) {
      before = live;
      p_.runtime->EndStep();
      EXPECT_TRUE(p_.runtime->Drain().ok());
      live = p_.runtime->statistics().device.live + p_.memory->blocks();
    }
  }

  void Run(int verbs) {
    for (int i = 0; i < verbs && !testing::Test::HasFailure(); ++i) Step();
  }

  int failures = 0;  // calls that found no memory

 private:
  Options WithAllocator(Options options, bool with_allocator) {
    options.devices[0].capacity = kOwnMemory + kPoolMemory;
    if (!with_allocator) return options;
    auto allocator = std::make_shared<DeviceAllocator>();
    // One cache for tensors and reloads.
    allocator->allocate = [this](std::size_t bytes, Stream stream) -> void* {
      p_.OrderAfterKernels(stream);
      return p_.memory->Take(bytes);
    };
    allocator->deallocate = [this](void* data, std::size_t bytes, Stream stream) {
      EXPECT_TRUE(p_.device->SynchronizeStream(stream).ok());
      p_.memory->Give(data, bytes);
    };
    options.devices[0].allocator = std::move(allocator);
    return options;
  }

  static const Status& StatusOf(const Status& status) { return status; }
  template <typename T>
  static const Status& StatusOf(const StatusOr<T>& result) {
    return result.status();
  }
  template <typename Call>
  auto Checked(const char* what, const Call& call) -> decltype(call()) {
    auto result = call();
    if (StatusOf(result).code() != StatusCode::kResourceExhausted) return result;
    ++failures;
    auto again = call();
    EXPECT_EQ(StatusOf(again).code(), StatusCode::kResourceExhausted)
        << what << " succeeds the second time; the first: " << StatusOf(result);
    if (StatusOf(again).code() != StatusCode::kResourceExhausted) return again;
    EXPECT_TRUE(p_.runtime->Drain().ok());
    EXPECT_TRUE(p_.device->Synchronize().ok());
    EXPECT_TRUE(p_.runtime->Drain().ok());
    auto later = call();
    EXPECT_EQ(StatusOf(later).code(), StatusCode::kResourceExhausted)
        << what << " succeeds once all work has ended; the first: " << StatusOf(result);
    return later;
  }

  bool OneIn(std::uint64_t n) { return random_.UniformInt(n) == 0; }
  Stream AnyStream() { return p_.streams[random_.UniformInt(p_.streams.size())]; }
  std::uint64_t AnySize() { return OneIn(6) ? KiB(8) + random_.UniformInt(KiB(32)) : 64 + random_.UniformInt(KiB(8)); }
  template <typename T>
  T TakeAny(std::vector<T>& from) {
    const std::size_t index = random_.UniformInt(from.size());
    std::swap(from[index], from.back());
    T taken = std::move(from.back());
    from.pop_back();
    return taken;
  }

  void Step() {
    switch (random_.UniformInt(14)) {
      case 0:
      case 1:
      case 2: return MakeOne();
      case 3: return DeriveOne();
      case 4: return WriteOne();
      case 5:
      case 6:
      case 7: return PackOne();
      case 8:
      case 9: return UnpackOne();
      case 10:
        if (!saved_.empty() && OneIn(2)) (void)TakeAny(saved_);
        return;
      case 11:
        if (!loaded_.empty()) (void)TakeAny(loaded_);
        return;
      case 12:
        if (!tensors_.empty()) RetireOne();
        return;
      case 13:
        if (OneIn(4)) p_.runtime->EndStep();
        return;
    }
  }

  // Something to be carried by a keepalive or a replay: memory that is free once that goes.
  std::shared_ptr<Burden> TakeBurden() {
    auto burden = std::make_shared<Burden>();
    burden->p = &p_;
    if (!tensors_.empty() && OneIn(2)) {
      Tensor tensor = TakeAny(tensors_);
      burden->storages.push_back(tensor.storage);
      if (tensor.memory != nullptr) memories_.push_back(std::move(tensor.memory));
    }
    if (!saved_.empty() && OneIn(2)) burden->saved.push_back(TakeAny(saved_).saved);
    return burden;
  }

  void MakeOne() {
    Tensor tensor;
    tensor.bytes = AnySize();
    const Stream stream = AnyStream();
    if (OneIn(3)) {
      Keepalive memory = p_.TakeMemory(tensor.bytes);
      if (memory == nullptr) return;
      if (OneIn(3)) {
        memory = Keepalive(memory.get(), [memory, burden = TakeBurden()](void*) mutable {
          burden.reset();
          memory.reset();
        });
      }
      tensor.memory = std::move(memory);
      const Holds holds = OneIn(6) ? Holds::kPersistent : Holds::kTransient;
      tensor.storage = p_.runtime->Register(tensor.memory.get(), tensor.bytes, 0, holds, "adopted").value();
    } else {
      const Holds holds = OneIn(8) ? Holds::kPersistent : Holds::kTransient;
      const StatusOr<Allocation> made =
          Checked("Allocate", [&] { return p_.runtime->Allocate(tensor.bytes, holds, stream, "owned"); });
      if (!made.ok()) return;
      tensor.storage = made->storage;
      p_.Write(made->data, Bytes(tensor.bytes, 1), stream);
    }
    tensors_.push_back(std::move(tensor));
  }

  void DeriveOne() {
    if (tensors_.size() < 2) return;
    const Tensor& source = tensors_[random_.UniformInt(tensors_.size())];
    const Tensor& derived = tensors_[random_.UniformInt(tensors_.size())];
    if (source.storage == derived.storage) return;
    const Layout layout = WholeOf(std::min(source.bytes, derived.bytes));
    const View to{derived.storage, layout};
    const View from{source.storage, layout};
    Replay replay = Replay::Copy();
    if (OneIn(2)) {
      replay = Replay::Call("nothing", [burden = TakeBurden()](const ReplayArguments&) { return OkStatus(); });
    }
    (void)p_.runtime->Derive(to, from, std::move(replay));  // the burden may have taken one of the two
  }

  void WriteOne() {
    if (tensors_.empty()) return;
    const StorageId id = tensors_[random_.UniformInt(tensors_.size())].storage;
    const Stream stream = AnyStream();
    (void)Checked("BeginWrite", [&] { return p_.runtime->BeginWrite(id, stream); });
  }

  void PackOne() {
    if (tensors_.empty()) return;
    Tensor& tensor = tensors_[random_.UniformInt(tensors_.size())];
    Layout layout = WholeOf(tensor.bytes);
    if (OneIn(2)) {  // columns: what naive copies gather and spread
      layout.sizes = {2, static_cast<std::int64_t>(tensor.bytes / 4)};
      layout.strides = {1, 2};
    }
    const Stream stream = tensor.memory != nullptr ? p_.compute() : AnyStream();
    const StatusOr<Saved> packed = Checked("Pack", [&] {
      return p_.runtime->Pack({tensor.storage, layout}, tensor.memory, stream, "saved");
    });
    ASSERT_TRUE(packed.ok()) << packed.status();
    saved_.push_back({*packed});
    if (OneIn(2)) RetireAt(static_cast<std::size_t>(&tensor - tensors_.data()));
  }

  void UnpackOne() {
    if (saved_.empty() || loaded_.size() > 4) return;
    const Saved saved = saved_[random_.UniformInt(saved_.size())].saved;
    const Stream stream = AnyStream();
    StatusOr<Loaded> loaded = Checked("Unpack", [&] { return p_.runtime->Unpack(saved, stream); });
    if (loaded.ok()) loaded_.push_back(*std::move(loaded));
  }

  void RetireOne() { RetireAt(random_.UniformInt(tensors_.size())); }
  void RetireAt(std::size_t index) {
    std::swap(tensors_[index], tensors_.back());
    const Tensor tensor = std::move(tensors_.back());
    tensors_.pop_back();
    ASSERT_TRUE(p_.runtime->Retire(tensor.storage, p_.compute()).ok());
  }

  struct SavedOne {
    Saved saved;
  };
  Random random_;
  Program p_;
  std::vector<Keepalive> memories_;  // of adopted storages that a burden retires
  std::vector<Tensor> tensors_;
  std::vector<SavedOne> saved_;
  std::vector<Loaded> loaded_;
};

constexpr auto kMarshal = OffloadMode::kMarshal;
constexpr auto kAll = OffloadPolicy::kAll;
constexpr auto kFit = OffloadPolicy::kFit;

void SmallHost(Options& o) {
  o.pinned_limit = KiB(64);
  o.pageable_limit = KiB(16);
}

const Variant kVariants[] = {
    {"Off", OffloadMode::kOff, kAll, [](Options&) {}},
    {"Naive", OffloadMode::kNaive, kAll, [](Options& o) { o.write_waits = true; }},
    {"NaiveWithAllocator", OffloadMode::kNaive, kAll, [](Options& o) { o.write_waits = true; }, true},
    {"All", kMarshal, kAll, [](Options& o) { o.write_waits = true; }},
    {"AllOnASmallHost", kMarshal, kAll, SmallHost},
    {"AllWithAllocator", kMarshal, kAll, [](Options& o) { o.write_waits = true; }, true},
    {"Fit", kMarshal, kFit, [](Options& o) { o.write_waits = true; }},
    {"FitOnASmallHost", kMarshal, kFit, SmallHost},
    {"FitWithAllocator", kMarshal, kFit, [](Options& o) { o.write_waits = true; }, true},
    {"FitPrefetches", kMarshal, kFit, [](Options& o) { o.devices[0].prefetch_bytes = KiB(16); }},
    {"FitWithoutAPool", kMarshal, kFit, [](Options& o) { o.devices[0].backing = DeviceBacking::kMallocAsync; }},
    {"NaiveWithoutAPool", OffloadMode::kNaive, kAll,
     [](Options& o) { o.devices[0].backing = DeviceBacking::kMallocAsync; }},
    {"FitWithABudget", kMarshal, kFit, [](Options& o) { o.devices[0].reload_budget = KiB(12); }},
};

class Shortage : public testing::TestWithParam<Variant> {};

TEST_P(Shortage, ACallThatFailedFailsAgain) {
  const Variant& variant = GetParam();
  const int programs = std::max(2, 150 / TIERLIB_RANDOM_SCALE);
  int failures = 0;
  for (int i = 0; i < programs; ++i) {
    const auto seed = static_cast<std::uint64_t>(1 + i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Options options = DeterministicOptions(seed, variant.mode, variant.policy);
    variant.change(options);
    CrowdedProgram program(std::move(options), seed, variant.with_allocator);
    program.Run(300);
    failures += program.failures;
    if (HasFailure()) return;
  }
  EXPECT_GT(failures, programs) << "the programs are meant to run out of memory";
}

INSTANTIATE_TEST_SUITE_P(All, Shortage, testing::ValuesIn(kVariants),
                         [](const testing::TestParamInfo<Variant>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace tierlib
