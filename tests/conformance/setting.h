// Setting: one of the ways in which every conformance test is run: how copies are timed, and whose memory the storages
// lie in. Freed device bytes are poisoned in each, and races are told.
#ifndef TIERLIB_TESTS_CONFORMANCE_SETTING_H_
#define TIERLIB_TESTS_CONFORMANCE_SETTING_H_

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "allocator/device_factory.h"
#include "allocator/test_device_kind.h"
#include "runtime/program.h"

namespace tierlib::conformance {

enum class Copier : std::uint8_t {
  kSynchronous,  // every copy has ended when the verb that asked for it returns
  kDelayed,      // each copy takes a while that the seed draws, beside the program's kernels
  kReordered,    // a seeded scheduler decides when each copy and kernel runs
  kCuda,         // a CUDA device's own copies, streams, events and graphs; the program's kernels run on the host
};

enum class Copies : std::uint8_t {
  kWhole,     // each is one operation of the device
  kInChunks,  // each is split where it is larger than a tiny limit
  kGathered,  // to the host, they wait for each other
};

struct Setting {
  Copier copier = Copier::kSynchronous;
  bool adopted = false;  // storages lie in memory of the program, which uses it again as soon as it may
  std::uint64_t seed = 1;
  Copies copies = Copies::kWhole;

  std::string name() const {
    static constexpr const char* kNames[] = {"synchronous", "delayed", "reordered", "cuda"};
    static constexpr const char* kCopies[] = {"", ", in chunks", ", gathered"};
    return std::string(kNames[static_cast<int>(copier)]) + kCopies[static_cast<int>(copies)] +
           (adopted ? ", adopted" : ", owned") + ", seed " + std::to_string(seed);
  }
};

// `change` comes last.
inline Options OptionsFor(const Setting& setting, const std::function<void(Options&)>& change = nullptr) {
  Options options = DeterministicOptions(setting.seed);
  options.devices[0].emulated.find_races = true;
  if (setting.copier == Copier::kDelayed) {
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices[0].emulated.copy_jitter_ns = 200'000;
  }
  if (setting.copies == Copies::kInChunks) options.devices[0].chunk_bytes = 64;
  if (setting.copies == Copies::kGathered) options.devices[0].coalesce_bytes = KiB(256);
  if (setting.copier == Copier::kCuda) MoveToCuda(options.devices[0]);
  if (change) change(options);
  return options;
}

// A tensor of the program, and the bytes that it must have.
struct Tensor {
  StorageId storage;
  void* data = nullptr;
  Bytes bytes;
  Keepalive memory;  // where it is adopted
};

class Case {
 public:
  explicit Case(const Setting& setting, const std::function<void(Options&)>& change = nullptr)
      : setting_(setting), program(OptionsFor(setting, change), setting.adopted), random(setting.seed) {}

  Tensor Make(Bytes bytes, Holds holds = Holds::kTransient) {
    Tensor tensor;
    tensor.bytes = std::move(bytes);
    if (setting_.adopted) {
      const Adopted made = Adopt(program, tensor.bytes, holds);
      tensor.storage = made.storage;
      tensor.memory = made.memory;
      tensor.data = made.memory.get();
    } else {
      const Allocation made = program.Make(tensor.bytes, holds);
      tensor.storage = made.storage;
      tensor.data = made.data;
    }
    return tensor;
  }
  Tensor Make(std::uint64_t bytes, Holds holds = Holds::kTransient) { return Make(RandomBytes(random, bytes), holds); }

  StatusOr<Saved> TryPack(const Tensor& tensor, const Layout& layout,
                          std::optional<std::uint64_t> version = std::nullopt) {
    StatusOr<Saved> saved =
        program.runtime->Pack({tensor.storage, layout, version}, tensor.memory, program.compute(), "saved");
    Settle();
    return saved;
  }
  Saved Pack(const Tensor& tensor, const Layout& layout, std::optional<std::uint64_t> version = std::nullopt) {
    return TryPack(tensor, layout, version).value();
  }
  Saved Pack(const Tensor& tensor) { return Pack(tensor, WholeOf(tensor.bytes.size())); }

  // The program is done with the tensor; its memory is used again as soon as that is allowed.
  void Drop(Tensor& tensor) {
    program.Retire(tensor.storage);
    tensor.memory.reset();
    tensor.data = nullptr;
  }
  // Announces a write, and writes other bytes.
  void Write(Tensor& tensor) {
    program.BeginWrite(tensor.storage);
    tensor.bytes = RandomBytes(random, tensor.bytes.size());
    program.Write(tensor.data, tensor.bytes, program.compute());
  }
  // Unpacks `saved` and compares it with the elements that `layout` shows of `bytes`, to the bit.
  void ExpectBack(const Saved& saved, const Bytes& bytes, const Layout& layout) {
    StatusOr<Loaded> loaded = program.runtime->Unpack(saved, program.compute());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->layout(), layout);
    const Bytes elements = program.Read(*loaded, program.compute());
    EXPECT_TRUE(elements == ElementsOf(bytes.data(), layout)) << layout.ToString();
  }
  void ExpectBack(const Saved& saved, const Tensor& tensor) {
    ExpectBack(saved, tensor.bytes, WholeOf(tensor.bytes.size()));
  }
  // Takes what is free of the device, and gives it back overwritten: nothing that is still needed may be there.
  void Overwrite(std::uint64_t bytes) {
    Tensor other = Make(Bytes(bytes, 0xA5));
    Drop(other);
  }
  void Settle() {
    if (setting_.copier == Copier::kSynchronous) {
      EXPECT_TRUE(program.runtime->Drain().ok());
    }
  }
  ~Case() { EXPECT_TRUE(may_lose || program.runtime->health().ok()) << program.runtime->health(); }

  // No tier holds anything any more.
  void ExpectNothingHeld() {
    ASSERT_TRUE(program.runtime->Drain().ok());
    const Statistics statistics = program.runtime->statistics();
    EXPECT_EQ(statistics.device.live, 0u);
    EXPECT_EQ(statistics.pinned.live, 0u);
    EXPECT_EQ(statistics.pageable.live, 0u);
    if (program.memory != nullptr) {
      EXPECT_EQ(program.memory->blocks(), 0u);
    }
  }

 private:
  const Setting setting_;

 public:
  bool may_lose = false;  // a value, by what the test does
  Program program;
  Random random;
};

// Freed bytes of the host are poisoned too; the settings in which copies sleep are left out then, to save time.
inline bool Hardened() { return std::getenv("TIERLIB_HARDENED") != nullptr; }

inline void InEveryCudaSetting(const std::function<void(const Setting&)>& test) {
  if (!CudaDevicePresent(0)) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  for (const bool adopted : {false, true}) {
    for (const Copies copies : {Copies::kWhole, Copies::kInChunks, Copies::kGathered}) {
      const Setting setting{Copier::kCuda, adopted, 1, copies};
      SCOPED_TRACE(setting.name());
      test(setting);
    }
  }
}

// Runs `test` in every setting, those of CUDA instead where the tests are to run there.
inline void InEverySetting(const std::function<void(const Setting&)>& test) {
  if (TestsRunOnCuda()) return InEveryCudaSetting(test);
  for (const bool adopted : {false, true}) {
    for (const Copier copier : {Copier::kSynchronous, Copier::kDelayed, Copier::kReordered}) {
      if (copier == Copier::kDelayed && Hardened()) continue;
      for (const Copies copies : {Copies::kWhole, Copies::kInChunks, Copies::kGathered}) {
        const bool once = Hardened() || TIERLIB_RANDOM_SCALE > 1;
        const std::uint64_t seeds = copier == Copier::kReordered && !once ? 3 : 1;
        for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
          const Setting setting{copier, adopted, seed, copies};
          SCOPED_TRACE(setting.name());
          test(setting);
        }
      }
    }
  }
}

inline Layout Strided(DType dtype, Dims sizes, Dims strides, std::int64_t offset_bytes = 0) {
  Layout layout;
  layout.dtype = dtype;
  layout.sizes = sizes;
  layout.strides = strides;
  layout.offset_bytes = offset_bytes;
  return layout;
}

}  // namespace tierlib::conformance

#endif  // TIERLIB_TESTS_CONFORMANCE_SETTING_H_
