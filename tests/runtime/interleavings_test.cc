// A million interleavings: pairs of a random program (small_program.h) and a random schedule of the deterministic
// device, which delays, reorders and poisons copies. What is counted is one program run once; each program is run
// several times, under another stretch of the schedule's random numbers each time. Two runs may happen to come to the
// same order of steps: no distinctness is claimed.
//
// Making a runtime costs as much as many programs, so one runtime runs some hundreds of them. Its seed decides
// everything in it. TIERLIB_INTERLEAVINGS_SEED=17 runs that runtime alone, of each variant that the filter has.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "runtime/small_program.h"

namespace tierlib {
namespace {

constexpr int kPrograms = 64;    // of a runtime
constexpr int kSchedules = 4;    // of a program
constexpr int kDrainEvery = 16;  // runs

struct Variant {
  const char* name;
  std::uint64_t runs;  // at scale 1
  void (*change)(Options& options);
  bool may_be_full = false;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

const Variant kVariants[] = {
    {"All", 100'000, [](Options&) {}},
    {"AllWritesWait", 100'000, [](Options& o) { o.write_waits = true; }},
    {"AllOnASmallHost", 150'000,
     [](Options& o) {
       o.pinned_limit = 1024;
       o.pageable_limit = 512;
       o.write_waits = true;
     }},
    {"AllFewInFlight", 100'000,
     [](Options& o) {
       o.devices[0].in_flight_limit = 768;
       o.devices[0].reload_budget = 768;
       o.hop_limit = 2;
     }},
    {"AllTakesBack", 75'000, [](Options& o) { o.devices[0].spare_bytes = KiB(16); }},
    {"FitTakesBackOnASmallDevice", 25'000,
     [](Options& o) {
       o.policy = OffloadPolicy::kFit;
       o.devices[0].spare_bytes = 1;
       o.devices[0].capacity = SmallPrograms::kOwnMemory + 2048;
       o.write_waits = true;
     },
     true},
    {"Naive", 100'000, [](Options& o) { o.mode = OffloadMode::kNaive; }},
    {"NaiveWritesWait", 50'000,
     [](Options& o) {
       o.mode = OffloadMode::kNaive;
       o.write_waits = true;
     }},
    {"Fit", 100'000,
     [](Options& o) {
       o.policy = OffloadPolicy::kFit;
       o.write_waits = true;
     }},
    {"FitOnASmallDevice", 50'000,
     [](Options& o) {
       o.policy = OffloadPolicy::kFit;
       o.devices[0].capacity = SmallPrograms::kOwnMemory + 2048;
       o.write_waits = true;
     },
     true},
    {"AllGathered", 50'000,
     [](Options& o) {
       o.devices[0].coalesce_bytes = 2048;
       o.write_waits = true;
     }},
    {"AllInChunks", 100'000, [](Options& o) { o.devices[0].chunk_bytes = 48; }},
};

// Each variant runs other programs.
std::uint64_t FirstSeed(const Variant& variant) {
  std::uint64_t index = 0;
  while (std::string(kVariants[index].name) != variant.name) ++index;
  return index * 100'000 + 1;
}

Options OptionsOf(const Variant& variant, std::uint64_t seed) {
  Options options = DeterministicOptions(seed);
  options.devices[0].capacity = KiB(64);
  options.devices[0].emulated.find_races = true;
  options.pinned_limit = KiB(64);
  options.pageable_limit = KiB(16);
  variant.change(options);
  return options;
}

class Interleavings : public testing::TestWithParam<Variant> {
 protected:
  // The programs of one runtime; how many runs.
  std::uint64_t RunRuntime(std::uint64_t seed) {
    SmallPrograms programs(OptionsOf(GetParam(), seed), GetParam().may_be_full);
    std::uint64_t runs = 0;
    for (int i = 0; i < kPrograms; ++i) {
      for (int j = 0; j < kSchedules && !HasFailure(); ++j) {
        programs.Run(seed * kPrograms + static_cast<std::uint64_t>(i));
        if (++runs % kDrainEvery == 0 && !HasFailure()) programs.ExpectNothingHeld();
      }
    }
    unpacked_ += programs.unpacked;
    refused_ += programs.refused;
    if (HasFailure()) {
      ADD_FAILURE() << "run " << runs << " of this runtime" << programs.Wrong()
                    << "\nAgain: TIERLIB_INTERLEAVINGS_SEED=" << seed << " with --gtest_filter=*/" << GetParam().name;
    }
    return runs;
  }
  std::uint64_t unpacked_ = 0;
  std::uint64_t refused_ = 0;
};

TEST_P(Interleavings, GetBackWhatTheModelHas) {
  if (const char* seed = std::getenv("TIERLIB_INTERLEAVINGS_SEED")) {
    (void)RunRuntime(std::strtoull(seed, nullptr, 10));
    return;
  }
  // Under a sanitizer a run costs some forty times as much.
  constexpr std::uint64_t kScale = TIERLIB_RANDOM_SCALE > 1 ? std::uint64_t{5} * TIERLIB_RANDOM_SCALE : 1;
  const std::uint64_t wanted = GetParam().runs / kScale;
  std::uint64_t runs = 0;
  const std::uint64_t first = FirstSeed(GetParam());
  std::uint64_t seed = first - 1;
  while (runs < wanted && !HasFailure()) runs += RunRuntime(++seed);
  std::cout << runs << " interleavings, seeds " << first << " to " << seed << "; " << unpacked_ << " values came back, "
            << refused_ << " were refused\n";
  if (HasFailure()) return;
  EXPECT_GE(unpacked_, runs / 2) << "the programs are meant to get values back";
  EXPECT_GE(refused_, runs / 50) << "and to find some written";
}

INSTANTIATE_TEST_SUITE_P(All, Interleavings, testing::ValuesIn(kVariants),
                         [](const testing::TestParamInfo<Variant>& test) { return std::string(test.param.name); });

TEST(InterleavingsTotal, AreAMillion) {
  std::uint64_t runs = 0;
  for (const Variant& variant : kVariants) runs += variant.runs;
  EXPECT_GE(runs, 1'000'000u);
}

}  // namespace
}  // namespace tierlib
