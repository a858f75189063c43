// Random programs over the verbs against a model that keeps every storage's bytes on the host: what Unpack gives is
// what was packed, to the bit, or the error that the verbs document; the ledger adds up after every verb; and nothing
// is left at the end. The device is deterministic, lets copies lag, poisons bytes that are fresh, freed or on their
// way, and tells races.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

// What all values packed of a storage between two writes share.
struct Content {
  Bytes bytes;
  bool written = false;
  std::shared_ptr<std::uint64_t> version = std::make_shared<std::uint64_t>(0);  // the program's, of the storage now
};

struct Tensor {
  StorageId storage;
  void* data = nullptr;
  Keepalive memory;  // of an adopted one
  Holds holds = Holds::kTransient;
  std::shared_ptr<Content> content;
};

struct SavedModel {
  Saved saved;
  Layout layout;
  std::shared_ptr<Content> content;
};

struct LoadedModel {
  Loaded loaded;
  Stream stream;
  std::shared_ptr<Content> content;
};

struct Read {
  std::shared_ptr<Bytes> seen;
  Bytes expected;
  std::string what;
};

constexpr std::uint8_t kKey = 0x5A;  // of the callback that the programs derive with

class RandomProgram {
 public:
  RandomProgram(const Options& options, std::uint64_t seed, bool with_allocator, bool counts, bool computes)
      : counts_(counts),
        computes_(computes),
        random_(seed),
        p_(WithAllocator(options, with_allocator), /*with_memory=*/true) {}

  void Run(int verbs) {
    for (int i = 0; i < verbs && !testing::Test::HasFatalFailure(); ++i) {
      Step();
      CheckLedger();
    }
    Finish();
  }

  int unpacked = 0;  // values that came back
  int computed = 0;  // calls for what is computed again
  int lost = 0;      // that did not, though nobody wrote their own storage

 private:
  Options WithAllocator(Options options, bool with_allocator) {
    if (!with_allocator) return options;
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [this](std::size_t bytes, Stream stream) -> void* {
      if (reloads_ + bytes > Program::kMemory / 4) return nullptr;
      p_.OrderAfterKernels(stream);  // the block may have been a tensor before
      void* data = p_.memory->Take(bytes);
      if (data == nullptr) return nullptr;
      reloads_ += bytes;
      EXPECT_TRUE(p_.device->Fill(data, 0xCD, bytes, stream).ok());
      return data;
    };
    // As a caching allocator: the next user of the block is ordered after `stream`, here at once.
    allocator->deallocate = [this](void* data, std::size_t bytes, Stream stream) {
      reloads_ -= bytes;
      p_.memory->Give(data, bytes);
      EXPECT_TRUE(p_.device->Fill(data, 0xEF, bytes, stream).ok());
      const EventId freed = p_.device->CreateEvent().value();
      EXPECT_TRUE(p_.device->RecordEvent(freed, stream).ok());
      for (const Stream user : p_.streams) EXPECT_TRUE(p_.device->WaitEvent(user, freed).ok());
      EXPECT_TRUE(p_.device->SynchronizeEvent(freed).ok());
      p_.device->DestroyEvent(freed);
    };
    options.devices[0].allocator = std::move(allocator);
    return options;
  }

  template <typename T>
  T& Any(std::vector<T>& from) {
    return from[random_.UniformInt(from.size())];
  }
  template <typename T>
  void Erase(std::vector<T>& from, std::size_t index) {
    std::swap(from[index], from.back());
    from.pop_back();
  }
  bool OneIn(std::uint64_t n) { return random_.UniformInt(n) == 0; }
  Stream AnyStream() { return Any(p_.streams); }

  void Step() {
    switch (random_.UniformInt(computes_ ? 18 : 16)) {
      case 0:
      case 1: return MakeOne();
      case 2: return DeriveOne(/*callback=*/false);
      case 3: return DeriveOne(/*callback=*/true);
      case 4: return WriteOne();
      case 5:
      case 6:
      case 7: return PackOne();
      case 8:
      case 9:
      case 10: return UnpackOne();
      case 11:
        if (!saved_.empty()) Erase(saved_, random_.UniformInt(saved_.size()));
        return;
      case 12:
        if (!loaded_.empty()) DropLoaded(random_.UniformInt(loaded_.size()));
        return;
      case 13:
        if (!tensors_.empty()) RetireOne(random_.UniformInt(tensors_.size()));
        return;
      case 14: return (void)p_.runtime->Reclaim(0, random_.UniformInt(20'000)).value();
      case 15: return PassTime();
      case 16:
      case 17: return TellToCompute();
    }
  }

  void PassTime() {
    switch (random_.UniformInt(4)) {
      case 0:
        p_.runtime->EndStep();  // of all since the last time
        p_.runtime->BeginStep(++step_);
        return p_.runtime->BeginBackward();
      case 1: ASSERT_TRUE(p_.runtime->Drain().ok()); return;
      default: return CheckReads();
    }
  }

  // A new storage of `bytes`, on no stream's order yet; false where there is no room.
  bool NewTensor(std::uint64_t bytes, Stream stream, Tensor* tensor) {
    tensor->holds = OneIn(5) ? Holds::kPersistent : Holds::kTransient;
    if (OneIn(2)) {
      tensor->memory = p_.TakeMemory(bytes);
      if (tensor->memory == nullptr) return false;
      tensor->data = tensor->memory.get();
      tensor->storage = p_.runtime->Register(tensor->data, bytes, 0, tensor->holds, "adopted").value();
      // The block may have been used on another stream before.
      p_.OrderAfterKernels(stream);
    } else {
      const StatusOr<Allocation> made = p_.runtime->Allocate(bytes, tensor->holds, stream, "owned");
      if (made.status().code() == StatusCode::kResourceExhausted) return false;
      tensor->storage = made.value().storage;
      tensor->data = made.value().data;
    }
    tensor->content = std::make_shared<Content>();
    return true;
  }

  void MakeOne() {
    if (tensors_.size() > 12) return;
    const Stream stream = AnyStream();
    Tensor tensor;
    const std::uint64_t bytes = 64 + random_.UniformInt(6000);
    if (!NewTensor(bytes, stream, &tensor)) return;
    tensor.content->bytes = RandomBytes(random_, bytes);
    p_.Write(tensor.data, tensor.content->bytes, stream);
    tensors_.push_back(std::move(tensor));
  }

  // y from a view of x: the same elements row-major somewhere in y, or each byte changed by a callback.
  void DeriveOne(bool callback) {
    if (tensors_.empty() || tensors_.size() > 12) return;
    const std::size_t from = random_.UniformInt(tensors_.size());
    const Tensor source = tensors_[from];
    const Layout source_layout = RandomLayout(random_, source.content->bytes.size());
    Layout layout = Layout::Contiguous(source_layout.dtype, source_layout.sizes);
    layout.offset_bytes = static_cast<std::int64_t>(random_.UniformInt(3) * 64);
    const auto bytes =
        static_cast<std::uint64_t>(layout.offset_bytes + layout.logical_bytes()) + random_.UniformInt(40);
    const Stream stream = AnyStream();
    Tensor derived;
    if (!NewTensor(std::max<std::uint64_t>(bytes, 16), stream, &derived)) return;
    Bytes& content = derived.content->bytes;
    content = RandomBytes(random_, std::max<std::uint64_t>(bytes, 16));
    Bytes elements = ElementsOf(source.content->bytes.data(), source_layout);
    for (std::uint8_t& byte : elements) byte = static_cast<std::uint8_t>(byte ^ (callback ? kKey : 0));
    std::copy(elements.begin(), elements.end(), content.begin() + layout.offset_bytes);
    p_.OrderAfterKernels(stream);
    p_.Write(derived.data, content, stream);
    const Replay replay =
        callback ? Replay::Call("xor", [this](const ReplayArguments& a) { return Xor(a); }) : Replay::Copy();
    ASSERT_TRUE(p_.runtime->Derive(ViewOf(derived, layout), ViewOf(source, source_layout), replay).ok());
    tensors_.push_back(std::move(derived));
  }

  // Some part of a storage can be computed again, and at times has to be. As a rule it is saved then, and dropped.
  void TellToCompute() {
    if (tensors_.empty()) return;
    const std::size_t index = random_.UniformInt(tensors_.size());
    const Tensor& tensor = tensors_[index];
    const Bytes bytes = tensor.content->bytes;
    const Layout layout = OneIn(3) ? RandomLayout(random_, bytes.size()) : WholeOf(bytes.size());
    const auto compute = [this, bytes, layout](const RecomputeArguments& a) {
      (void)p_.runtime->statistics();  // it may call
      ++computed;
      if (bytes.size() % 7 == 0 && computed % 5 == 0) return Status(StatusCode::kInternal, "on purpose");
      HostKernel kernel;
      kernel.name = "compute";
      kernel.run = [a, bytes](KernelContext&) {
        ForEachElement(a.layout, [&](std::int64_t, std::int64_t offset) {
          std::memcpy(static_cast<std::uint8_t*>(a.destination) + offset, bytes.data() + offset,
                      ElementBytes(a.layout.dtype));
        });
      };
      return p_.device->Launch(a.stream, std::move(kernel));
    };
    Recompute recompute{compute, "compute", random_.UniformInt(3) * 4000, OneIn(3)};
    ASSERT_TRUE(p_.runtime->Recomputes(ViewOf(tensor, layout), std::move(recompute)).ok());
    if (OneIn(4) || saved_.size() > 40) return;
    for (int i = 0; i < 2; ++i) PackSome(tensor);
    RetireOne(index);
    if (OneIn(2)) UnpackSome(saved_.back());
  }

  Status Xor(const ReplayArguments& a) {
    (void)p_.runtime->statistics();  // a callback may call
    HostKernel kernel;
    kernel.name = "xor";
    kernel.run = [a](KernelContext&) {
      Bytes elements = ElementsOf(static_cast<const std::uint8_t*>(a.source), a.source_layout);
      for (std::uint8_t& byte : elements) byte = static_cast<std::uint8_t>(byte ^ kKey);
      std::copy(elements.begin(), elements.end(),
                static_cast<std::uint8_t*>(a.destination) + a.destination_layout.offset_bytes);
    };
    return p_.device->Launch(a.stream, std::move(kernel));
  }

  std::optional<std::uint64_t> VersionOf(const Content& content) const {
    return counts_ ? std::optional<std::uint64_t>(*content.version) : std::nullopt;
  }

  View ViewOf(const Tensor& tensor, const Layout& layout) const {
    return {tensor.storage, layout, VersionOf(*tensor.content)};
  }

  void WriteOne() {
    if (tensors_.empty()) return;
    Tensor& tensor = Any(tensors_);
    const Stream stream = AnyStream();
    p_.OrderAfterKernels(stream);
    const Status begun = counts_ && OneIn(2) ? OkStatus() : p_.runtime->BeginWrite(tensor.storage, stream);
    if (begun.code() == StatusCode::kResourceExhausted) return;      // no room for what was to be made from it
    if (computes_ && begun.code() == StatusCode::kInternal) return;  // nor does what failed compute it
    if (!begun.ok()) {
      ASSERT_EQ(begun.code(), StatusCode::kFailedPrecondition) << begun;
      ASSERT_FALSE(p_.runtime->options().write_waits) << begun;
      return;
    }
    tensor.content->written = true;
    ++*tensor.content->version;
    tensor.content = std::make_shared<Content>(Content{tensor.content->bytes, false, tensor.content->version});
    Bytes& content = tensor.content->bytes;
    const std::uint64_t begin = random_.UniformInt(content.size());
    const Bytes change = RandomBytes(random_, 1 + random_.UniformInt(content.size() - begin));
    std::copy(change.begin(), change.end(), content.begin() + static_cast<std::ptrdiff_t>(begin));
    p_.Write(static_cast<std::uint8_t*>(tensor.data) + begin, change, stream);
  }

  void PackOne() {
    if (!tensors_.empty() && saved_.size() <= 40) PackSome(Any(tensors_));
  }

  void PackSome(const Tensor& tensor) {
    // The program's memory is used again in the order of `compute`, so that is where adopted ones are packed.
    const Stream stream = tensor.memory != nullptr ? p_.compute() : AnyStream();
    p_.OrderAfterKernels(stream);
    SavedModel saved;
    saved.layout =
        OneIn(2) ? WholeOf(tensor.content->bytes.size()) : RandomLayout(random_, tensor.content->bytes.size());
    saved.content = tensor.content;
    const StatusOr<Saved> packed = p_.runtime->Pack(ViewOf(tensor, saved.layout), tensor.memory, stream, "saved");
    ASSERT_TRUE(packed.ok()) << packed.status();
    saved.saved = *packed;
    saved_.push_back(std::move(saved));
  }

  void UnpackOne() {
    if (!saved_.empty()) UnpackSome(Any(saved_));
  }

  void UnpackSome(const SavedModel& saved) {
    if (loaded_.size() > 6) return;
    const Stream stream = AnyStream();  // ordered after nothing: that is tierlib's part
    StatusOr<Loaded> loaded = p_.runtime->Unpack(saved.saved, stream, VersionOf(*saved.content));
    if (saved.content->written && saved.layout.elements() > 0) {
      ASSERT_EQ(loaded.status().code(), StatusCode::kFailedPrecondition) << loaded.status();
      return;
    }
    if (loaded.status().code() == StatusCode::kResourceExhausted) return;
    if (computes_ && loaded.status().code() == StatusCode::kInternal) return;  // the function that fails at times
    // What it is made from was written, and nobody announced that.
    const bool may_be_lost = counts_ && (loaded.status().code() == StatusCode::kFailedPrecondition ||
                                         loaded.status().code() == StatusCode::kDataLoss);
    if (may_be_lost && p_.runtime->options().hop_limit > 0) return (void)++lost;
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    ASSERT_EQ(loaded->layout(), saved.layout);
    ++unpacked;
    loaded_.push_back({*std::move(loaded), stream, saved.content});
    ReadOne(loaded_.back());
  }

  void ReadOne(const LoadedModel& loaded) {
    const Layout& layout = loaded.loaded.layout();
    reads_.push_back({p_.ReadLater(loaded.loaded, loaded.stream), ElementsOf(loaded.content->bytes.data(), layout),
                      layout.ToString()});
  }

  void DropLoaded(std::size_t index) {
    // The program may have written the storage since, through whose bytes the lease looks.
    if (!loaded_[index].content->written) {
      if (OneIn(2)) {
        const Stream further = AnyStream();
        p_.OrderAfterKernels(further);  // the program's own order: this stream comes after the one that waited
        ASSERT_TRUE(loaded_[index].loaded.UsedOn(further).ok());
        loaded_[index].stream = further;
      }
      ReadOne(loaded_[index]);
    }
    Erase(loaded_, index);
  }

  void RetireOne(std::size_t index) {
    const Stream stream = AnyStream();
    p_.OrderAfterKernels(stream);
    const StorageId storage = tensors_[index].storage;
    ASSERT_TRUE(p_.runtime->Retire(storage, stream).ok());
    ASSERT_EQ(p_.runtime->Retire(storage, stream).code(), StatusCode::kFailedPrecondition);
    Erase(tensors_, index);
  }

  void CheckReads() {
    for (const Stream stream : p_.streams) ASSERT_TRUE(p_.runtime->Synchronize(stream).ok());
    for (const Read& read : reads_) ASSERT_EQ(*read.seen, read.expected) << read.what;
    reads_.clear();
  }

  void CheckLedger() {
    const Ledger ledger = p_.ledger();
    ASSERT_EQ(ledger.naive + ledger.reconsidered, ledger.moved + ledger.avoided_identity + ledger.avoided_lineage +
                                                      ledger.avoided_recompute + ledger.frees_nothing + ledger.kept);
    ASSERT_EQ(ledger.engine_out, ledger.moved);
    ASSERT_EQ(ledger.engine_in, ledger.moved_in);
  }

  void Finish() {
    CheckReads();
    while (!loaded_.empty()) DropLoaded(random_.UniformInt(loaded_.size()));
    while (!saved_.empty()) Erase(saved_, random_.UniformInt(saved_.size()));
    while (!tensors_.empty()) RetireOne(random_.UniformInt(tensors_.size()));
    CheckReads();
    ASSERT_TRUE(p_.runtime->Drain().ok());
    const Statistics statistics = p_.runtime->statistics();
    EXPECT_EQ(statistics.device.live, 0u);
    EXPECT_EQ(statistics.pinned.live, 0u);
    EXPECT_EQ(statistics.pageable.live, 0u);
    EXPECT_EQ(p_.memory->blocks(), 0u);
    EXPECT_TRUE(p_.runtime->health().ok() || lost > 0) << p_.runtime->health();
  }

  const bool counts_;    // writes, of which it announces some
  const bool computes_;  // some of its values again
  Random random_;
  std::size_t reloads_ = 0;  // bytes that the program's allocator handed out
  Program p_;
  std::vector<Tensor> tensors_;
  std::vector<SavedModel> saved_;
  std::vector<LoadedModel> loaded_;
  std::vector<Read> reads_;
  std::uint64_t step_ = 0;
};

struct Variant {
  const char* name;
  OffloadMode mode;
  OffloadPolicy policy;
  void (*change)(Options& options);
  bool with_allocator = false;
  bool counts = false;
  bool computes = false;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

constexpr auto kMarshal = OffloadMode::kMarshal;
constexpr auto kAll = OffloadPolicy::kAll;
constexpr auto kFit = OffloadPolicy::kFit;

// Events are seen late and in another order, as the seed has it.
void LateEvents(Options& options) {
  FaultPlan plan;
  plan.seed = options.devices[0].emulated.seed;
  plan.slow_queries = static_cast<std::uint32_t>(plan.seed % 3);
  plan.reorder = true;
  options.devices[0].faults = std::make_shared<Faults>(plan);
}

const Variant kVariants[] = {
    {"Off", OffloadMode::kOff, kAll, [](Options&) {}},
    {"Naive", OffloadMode::kNaive, kAll, [](Options&) {}},
    {"NaiveWithAllocator", OffloadMode::kNaive, kAll, [](Options& o) { o.write_waits = true; }, true},
    {"All", kMarshal, kAll, [](Options&) {}},
    {"AllWritesWait", kMarshal, kAll, [](Options& o) { o.write_waits = true; }},
    {"AllStrict", kMarshal, kAll, [](Options& o) { o.devices[0].emulated.strict = true; }},
    {"AllOnASmallHost", kMarshal, kAll,
     [](Options& o) {
       o.pinned_limit = KiB(16);
       o.pageable_limit = KiB(8);
     }},
    {"AllKeepsSmallOnes", kMarshal, kAll, [](Options& o) { o.minimum_bytes = 512; }},
    {"AllWithAllocator", kMarshal, kAll, [](Options& o) { o.write_waits = true; }, true},
    {"AllFewInFlight", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].in_flight_limit = 8192;
       o.devices[0].reload_budget = 8192;
     }},
    {"AllInChunks", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].chunk_bytes = 256;
       o.devices[0].in_flight_limit = 8192;
     }},
    {"NaiveInChunks", OffloadMode::kNaive, kAll, [](Options& o) { o.devices[0].chunk_bytes = 256; }},
    {"FitInChunks", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].chunk_bytes = 256;
       o.write_waits = true;
       LateEvents(o);
     }},
    {"AllGathered", kMarshal, kAll, [](Options& o) { o.devices[0].coalesce_bytes = 16384; }},
    {"AllGatheredWritesWait", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].coalesce_bytes = 65536;
       o.write_waits = true;
       LateEvents(o);
     },
     true},
    {"AllGatheredOnASmallHost", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].coalesce_bytes = 16384;
       o.devices[0].in_flight_limit = 8192;
       o.devices[0].prefetch_bytes = 8192;
       o.pinned_limit = KiB(16);
       o.pageable_limit = KiB(8);
     }},
    {"NaiveGathered", OffloadMode::kNaive, kAll, [](Options& o) { o.devices[0].coalesce_bytes = 16384; }},
    {"FitGathered", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].coalesce_bytes = 16384;
       o.write_waits = true;
     }},
    {"AllGatheredWithoutAPool", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].backing = DeviceBacking::kMallocAsync;
       o.devices[0].coalesce_bytes = 16384;
     }},
    {"AllGatheredCountWrites", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].coalesce_bytes = 16384;
       o.hop_limit = 0;
     },
     false, true},
    {"AllGatheredWithChecksums", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].coalesce_bytes = 16384;
       o.checksums = true;
       o.devices[0].emulated.strict = true;
     }},
    {"AllPrefetches", kMarshal, kAll, [](Options& o) { o.devices[0].prefetch_bytes = 8192; }},
    {"AllPrefetchesWithAllocator", kMarshal, kAll,
     [](Options& o) {
       o.write_waits = true;
       o.devices[0].prefetch_bytes = 8192;
     },
     true},
    {"AllTakesBack", kMarshal, kAll, [](Options& o) { o.devices[0].spare_bytes = 1; }},
    {"AllTakesBackFewReloads", kMarshal, kAll,
     [](Options& o) {
       o.write_waits = true;
       o.devices[0].reload_budget = 8192;
       o.devices[0].prefetch_bytes = 8192;
       o.devices[0].spare_bytes = KiB(64);
     }},
    {"FitTakesBackOnASmallDevice", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].spare_bytes = 1;
       LateEvents(o);
     }},
    {"AllTakesBackCountsWrites", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].spare_bytes = 1;
       o.hop_limit = 0;
     },
     false, true},
    {"AllWithATargetPeak", kMarshal, kAll, [](Options& o) { o.devices[0].target_peak = KiB(16); }},
    {"Fit", kMarshal, kFit, [](Options&) {}},
    {"FitWithATargetPeak", kMarshal, kFit, [](Options& o) { o.devices[0].target_peak = KiB(16); }},
    {"FitPrefetches", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].prefetch_bytes = 8192;
     }},
    {"FitOnASmallDevice", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.write_waits = true;
     }},
    {"FitWithAllocator", kMarshal, kFit, [](Options& o) { o.write_waits = true; }, true},
    {"FitWithoutAPool", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].backing = DeviceBacking::kMallocAsync;
     }},
    {"NaiveWithoutAPool", OffloadMode::kNaive, kAll,
     [](Options& o) { o.devices[0].backing = DeviceBacking::kMallocAsync; }},
    {"FitStrict", kMarshal, kFit, [](Options& o) { o.devices[0].emulated.strict = true; }},
    {"AllWithLateEvents", kMarshal, kAll, [](Options& o) { LateEvents(o); }},
    {"FitWithLateEvents", kMarshal, kFit,
     [](Options& o) {
       o.write_waits = true;
       LateEvents(o);
     },
     true},
    {"NaiveWithLateEvents", OffloadMode::kNaive, kAll, [](Options& o) { LateEvents(o); }},
    // What was made from a source does not see that somebody writes it and does not say so: no replays,
    {"AllCountWrites", kMarshal, kAll, [](Options& o) { o.hop_limit = 0; }, false, true},
    {"FitCountWrites", kMarshal, kFit, [](Options& o) { o.hop_limit = 0; }, true, true},
    {"NaiveCountWrites", OffloadMode::kNaive, kAll, [](Options&) {}, false, true},
    // or checksums, which see that.
    {"AllCountWritesWithChecksums", kMarshal, kAll, [](Options& o) { o.checksums = true; }, false, true},
    {"FitCountWritesWithChecksums", kMarshal, kFit,
     [](Options& o) {
       o.checksums = true;
       o.write_waits = true;
     },
     true, true},
    {"AllWithChecksums", kMarshal, kAll,
     [](Options& o) {
       o.checksums = true;
       o.devices[0].emulated.strict = true;
     }},
    {"FitWithChecksums", kMarshal, kFit,
     [](Options& o) {
       o.checksums = true;
       o.write_waits = true;
       LateEvents(o);
     },
     true},
    {"NaiveWithChecksums", OffloadMode::kNaive, kAll, [](Options& o) { o.checksums = true; }},
    // Values are computed again: claimed, cheaper than copies, or where the host is full.
    {"AllComputes", kMarshal, kAll,
     [](Options& o) {
       o.devices[0].copy_bytes_per_s = 1e9;
       o.devices[0].emulated.strict = true;
     },
     false, false, true},
    {"AllComputesOnASmallHost", kMarshal, kAll,
     [](Options& o) {
       o.pinned_limit = KiB(8);
       o.pageable_limit = 0;
       o.write_waits = true;
     },
     true, false, true},
    {"FitComputes", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].capacity = Program::kMemory + KiB(32);
       o.devices[0].copy_bytes_per_s = 1e9;
       o.devices[0].prefetch_bytes = 8192;
       o.pinned_limit = KiB(16);
       o.pageable_limit = 0;
     },
     false, false, true},
    {"FitComputesWithChecksums", kMarshal, kFit,
     [](Options& o) {
       o.devices[0].copy_bytes_per_s = 1e9;
       o.checksums = true;
       o.write_waits = true;
       LateEvents(o);
     },
     true, false, true},
};

class RandomPrograms : public testing::TestWithParam<Variant> {};

TEST_P(RandomPrograms, GetBackWhatTheyPacked) {
  const Variant& variant = GetParam();
  const int programs = std::max(2, 60 / TIERLIB_RANDOM_SCALE);
  int unpacked = 0, computed = 0;
  for (int i = 0; i < programs; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 + i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Options options = DeterministicOptions(seed, variant.mode, variant.policy);
    options.devices[0].emulated.find_races = !variant.counts;  // which write beside copies, on purpose
    variant.change(options);
    RandomProgram program(options, seed, variant.with_allocator, variant.counts, variant.computes);
    program.Run(250);
    unpacked += program.unpacked;
    computed += program.computed;
    if (HasFailure()) return;
  }
  EXPECT_GT(unpacked, programs * 4) << "the programs are meant to get values back";
  EXPECT_EQ(computed > programs / 4, variant.computes);
}

INSTANTIATE_TEST_SUITE_P(All, RandomPrograms, testing::ValuesIn(kVariants),
                         [](const testing::TestParamInfo<Variant>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace tierlib
