// A device that is full is full: where Allocate says so, the same call says so again at once. If it did not, whatever
// made the difference (an event that completed, memory whose return was put off) would have been missed by the first.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

struct Variant {
  const char* name;
  OffloadMode mode;
  OffloadPolicy policy;
  std::uint64_t pinned_limit;
  bool with_late_events;
  DeviceBacking backing = DeviceBacking::kVirtualMemory;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class AllocateAgain : public testing::TestWithParam<Variant> {};

// Storages, saved values and leases come and go at random, on two streams, on a device that does not hold them all.
class CrowdedProgram {
 public:
  CrowdedProgram(const Options& options, std::uint64_t seed) : random_(seed), p_(options) {}

  void Run(int verbs) {
    for (int i = 0; i < verbs && !testing::Test::HasFailure(); ++i) Step();
    loaded_.clear();
    saved_.clear();
    for (const StorageId id : storages_) p_.Retire(id);
  }
  int refused = 0;

 private:
  void Step() {
    const Stream stream = p_.streams[random_.UniformInt(2)];
    switch (random_.UniformInt(8)) {
      case 0:
      case 1:
      case 2: return AllocateOne(stream);
      case 3:
      case 4:
        if (storages_.empty()) return;
        return PackOne(random_.UniformInt(storages_.size()), stream);
      case 5:
        if (storages_.empty()) return;
        return RetireOne(random_.UniformInt(storages_.size()), stream);
      case 6: return UnpackOne(stream);
      case 7:
        if (!loaded_.empty() && random_.UniformInt(2) == 0) return Erase(loaded_);
        if (saved_.size() > 12) return Erase(saved_);
    }
  }

  void AllocateOne(Stream stream) {
    const std::uint64_t bytes = 256 + random_.UniformInt(24'000);
    const StatusOr<Allocation> made = p_.runtime->Allocate(bytes, Holds::kTransient, stream, "x");
    if (made.ok()) return storages_.push_back(made->storage);
    ASSERT_EQ(made.status().code(), StatusCode::kResourceExhausted) << made.status();
    ++refused;
    const StatusOr<Allocation> again = p_.runtime->Allocate(bytes, Holds::kTransient, stream, "x");
    EXPECT_FALSE(again.ok()) << "refused: " << made.status() << ", and given when asked again";
    if (again.ok()) storages_.push_back(again->storage);
  }

  void PackOne(std::size_t index, Stream stream) {
    const StatusOr<Saved> saved = p_.runtime->Pack({storages_[index], WholeOf(256)}, nullptr, stream, "saved");
    ASSERT_TRUE(saved.ok()) << saved.status();
    saved_.push_back(*saved);
  }

  void RetireOne(std::size_t index, Stream stream) {
    ASSERT_TRUE(p_.runtime->Retire(storages_[index], stream).ok());
    storages_.erase(storages_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  void UnpackOne(Stream stream) {
    if (saved_.empty() || loaded_.size() > 4) return;
    StatusOr<Loaded> loaded = p_.runtime->Unpack(saved_[random_.UniformInt(saved_.size())], stream);
    if (loaded.ok()) loaded_.push_back(*std::move(loaded));
  }

  template <typename T>
  void Erase(std::vector<T>& from) {
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(random_.UniformInt(from.size())));
  }

  Random random_;
  Program p_;
  std::vector<StorageId> storages_;
  std::vector<Saved> saved_;
  std::vector<Loaded> loaded_;
};

TEST_P(AllocateAgain, SaysTheSameWhereTheDeviceIsFull) {
  const Variant& variant = GetParam();
  const std::uint64_t seeds = static_cast<std::uint64_t>(std::max(5, 150 / TIERLIB_RANDOM_SCALE));
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Options options = DeterministicOptions(seed, variant.mode, variant.policy);
    options.devices[0].capacity = KiB(128);
    options.devices[0].backing = variant.backing;
    options.pinned_limit = variant.pinned_limit;
    options.pageable_limit = KiB(16);
    if (variant.with_late_events) {
      FaultPlan plan;
      plan.seed = seed;
      plan.slow_queries = 4;
      plan.reorder = true;
      options.devices[0].faults = std::make_shared<Faults>(plan);
    }
    CrowdedProgram program(options, seed);
    program.Run(300);
    refused += program.refused;
    if (HasFailure()) return;
  }
  EXPECT_GT(refused, static_cast<int>(seeds)) << "the device is meant to be full at times";
}

INSTANTIATE_TEST_SUITE_P(
    All, AllocateAgain,
    testing::Values(Variant{"Fit", OffloadMode::kMarshal, OffloadPolicy::kFit, KiB(64), false},
                    Variant{"FitWithLateEvents", OffloadMode::kMarshal, OffloadPolicy::kFit, KiB(64), true},
                    Variant{"FitOnASmallHost", OffloadMode::kMarshal, OffloadPolicy::kFit, KiB(8), false},
                    Variant{"All", OffloadMode::kMarshal, OffloadPolicy::kAll, KiB(64), false},
                    Variant{"AllWithLateEvents", OffloadMode::kMarshal, OffloadPolicy::kAll, KiB(64), true},
                    Variant{"FitWithoutAPoolWithLateEvents", OffloadMode::kMarshal, OffloadPolicy::kFit, KiB(64), true,
                            DeviceBacking::kMallocAsync},
                    Variant{"Naive", OffloadMode::kNaive, OffloadPolicy::kAll, KiB(64), false}),
    [](const testing::TestParamInfo<Variant>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace tierlib
