// DeviceOptions::target_peak: from the second step on those values move that lower the peak of the step before to the
// target, and no others.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kUnit = KiB(16);

Bytes Pattern(std::uint64_t seed, std::uint64_t units = 1) {
  Random random(seed);
  return RandomBytes(random, units * kUnit);
}

Options With(std::uint64_t target_units, OffloadPolicy policy = OffloadPolicy::kFit) {
  Options options = DeterministicOptions(1, OffloadMode::kMarshal, policy);
  options.devices[0].target_peak = target_units * kUnit;
  options.devices[0].emulated.find_races = true;
  return options;
}

// A value that lives on in the runtime's care alone.
struct Value {
  Saved saved;
  std::uint64_t seed = 0;
  std::uint64_t units = 1;
};

class Steps {
 public:
  explicit Steps(const Options& options, bool with_memory = false) : p(options, with_memory) {}

  Value PackAway(std::uint64_t seed, std::string_view label, std::uint64_t units = 1) {
    const Allocation made = p.Make(Pattern(seed, units));
    Look();
    Value value = {p.runtime->Pack({made.storage, WholeOf(units * kUnit)}, nullptr, p.compute(), label).value(), seed,
                   units};
    p.Retire(made.storage);
    return value;
  }
  // Memory that is taken and given back.
  void Passing(std::uint64_t units) {
    const Allocation made = p.runtime->Allocate(units * kUnit, Holds::kTransient, p.compute(), "passing").value();
    Look();
    p.Retire(made.storage);
  }
  void TakeBack(Value value) {
    {
      const Loaded loaded = p.runtime->Unpack(value.saved, p.compute()).value();
      Look();
      EXPECT_EQ(p.Read(loaded, p.compute()), Pattern(value.seed, value.units)) << "value " << value.seed;
    }
    value.saved = Saved();
  }
  void Look() {
    const TierStatistics device = p.runtime->statistics().device;
    peak = std::max(peak, device.live + device.waste);
  }
  void Begin() {
    peak = 0;
    p.runtime->BeginStep(++number);
  }
  // What the step did.
  Ledger End() {
    p.runtime->EndStep();
    return p.runtime->statistics().last_step;
  }
  PeakStatistics Told() const {
    const std::vector<PeakStatistics> peaks = p.runtime->statistics().peaks;
    EXPECT_EQ(peaks.size(), 1u);
    return peaks.empty() ? PeakStatistics() : peaks[0];
  }

  // Two peaks: 7 units over three values, then 3 over one.
  Ledger TwoPeaks() {
    Begin();
    std::vector<Value> values;
    values.push_back(PackAway(1, "a"));
    values.push_back(PackAway(2, "b"));
    values.push_back(PackAway(3, "c"));
    Passing(4);
    for (; !values.empty(); values.pop_back()) TakeBack(std::exchange(values.back(), Value()));
    Value last = PackAway(4, "d");
    Passing(2);
    TakeBack(std::move(last));
    return End();
  }

  Program p;
  std::uint64_t peak = 0;  // the most that the device held in this step
  std::uint64_t number = 0;
};

TEST(TargetPeak, IsOffUnlessAskedFor) {
  Steps steps(With(0));
  EXPECT_EQ(steps.TwoPeaks().kept, 4 * kUnit);
  EXPECT_TRUE(steps.p.runtime->statistics().peaks.empty());
}

TEST(TargetPeak, FitMovesWhatCoversThePeak) {
  Steps steps(With(5));
  const Ledger first = steps.TwoPeaks();
  EXPECT_EQ(first.moved, 0u);
  EXPECT_EQ(steps.peak, 7 * kUnit);
  for (int step = 1; step < 5; ++step) {
    const Ledger ledger = steps.TwoPeaks();
    EXPECT_EQ(ledger.moved, 2 * kUnit) << step;
    EXPECT_EQ(ledger.kept, 2 * kUnit) << step;
    EXPECT_EQ(ledger.freed, 2 * kUnit) << step;
    EXPECT_EQ(ledger.reconsidered, 0u) << step;
    EXPECT_EQ(steps.peak, 5 * kUnit) << step;
    const PeakStatistics told = steps.Told();
    EXPECT_EQ(told.unmoved_peak, 7 * kUnit) << "what it would be without the moves, step " << step;
    EXPECT_EQ(told.planned_peak, 5 * kUnit) << step;
    EXPECT_EQ(told.planned, 2 * kUnit) << step;
    EXPECT_EQ(told.planned_values, 2u) << step;
    EXPECT_EQ(told.kept, 2 * kUnit) << step;
    EXPECT_EQ(told.kept_values, 2u) << step;
    EXPECT_EQ(told.peak_after, "c") << step;
    EXPECT_FALSE(told.peak_in_backward) << step;
  }
  ExpectBookedOnce(steps.p.ledger());
  EXPECT_EQ(steps.p.runtime->statistics().shortages.polls, 0u);
}

// The first packed is asked for last.
TEST(TargetPeak, WhatIsAskedForLastMoves) {
  Steps steps(With(5));
  steps.TwoPeaks();
  steps.Begin();
  std::vector<Value> values;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const std::uint64_t before = steps.p.ledger().moved;
    values.push_back(steps.PackAway(i, "x"));
    EXPECT_EQ(steps.p.ledger().moved - before, i < 3 ? kUnit : 0) << i;
  }
}

TEST(TargetPeak, AmpleMemoryMovesNothing) {
  Steps steps(With(7));
  for (int step = 0; step < 3; ++step) EXPECT_EQ(steps.TwoPeaks().moved, 0u);
  EXPECT_EQ(steps.Told().planned, 0u);
  EXPECT_EQ(steps.Told().planned_peak, 7 * kUnit);
}

TEST(TargetPeak, AllKeepsWhatWouldNotLowerThePeak) {
  Steps steps(With(5, OffloadPolicy::kAll));
  EXPECT_EQ(steps.TwoPeaks().moved, 4 * kUnit) << "nothing is known yet";
  EXPECT_EQ(steps.Told().unmoved_peak, 7 * kUnit);
  for (int step = 1; step < 4; ++step) {
    const Ledger ledger = steps.TwoPeaks();
    EXPECT_EQ(ledger.moved, 2 * kUnit);
    EXPECT_EQ(ledger.kept, 2 * kUnit);
    EXPECT_EQ(steps.peak, 5 * kUnit);
    EXPECT_EQ(steps.Told().kept_values, 2u);
  }
}

// Mode off: would it lower the peak?
TEST(TargetPeak, OffTellsWhatWouldBeMoved) {
  Options options = With(5);
  options.mode = OffloadMode::kOff;
  Steps steps(options);
  for (int step = 0; step < 2; ++step) EXPECT_EQ(steps.TwoPeaks().moved, 0u);
  EXPECT_EQ(steps.peak, 7 * kUnit);
  EXPECT_EQ(steps.Told().unmoved_peak, 7 * kUnit);
  EXPECT_EQ(steps.Told().planned_peak, 5 * kUnit);
  EXPECT_EQ(steps.Told().planned, 2 * kUnit);
  EXPECT_EQ(steps.Told().kept_values, 0u) << "the mode keeps them, not the plan";
}

// accelerate#4175: the peak is in backward, where the values are back.
TEST(TargetPeak, NothingMovesForAPeakInARecompute) {
  for (const OffloadPolicy policy : {OffloadPolicy::kFit, OffloadPolicy::kAll}) {
    Steps steps(With(5, policy));
    for (int step = 0; step < 3; ++step) {
      steps.Begin();
      Value a = steps.PackAway(1, "a");
      Value b = steps.PackAway(2, "b");
      steps.TakeBack(std::move(b));
      {
        const Loaded loaded = steps.p.runtime->Unpack(a.saved, steps.p.compute()).value();
        steps.Passing(8);
      }
      a.saved = Saved();
      const Ledger ledger = steps.End();
      EXPECT_EQ(ledger.moved, step == 0 && policy == OffloadPolicy::kAll ? 2 * kUnit : 0) << step;
      EXPECT_EQ(steps.Told().unmoved_peak, 9 * kUnit);
      EXPECT_EQ(steps.Told().planned_peak, 9 * kUnit);
      EXPECT_EQ(steps.Told().peak_after, "a");
      EXPECT_TRUE(steps.Told().peak_in_backward);
    }
  }
}

// The peak is still there when the value is back.
TEST(TargetPeak, NothingMovesForAPeakThatOutlastsTheValue) {
  Steps steps(With(5, OffloadPolicy::kAll));
  for (int step = 0; step < 2; ++step) {
    steps.Begin();
    Value a = steps.PackAway(1, "a", 2);
    const Allocation other = steps.p.runtime->Allocate(4 * kUnit, Holds::kTransient, steps.p.compute(), "x").value();
    steps.Look();
    steps.TakeBack(std::move(a));
    steps.p.Retire(other.storage);
    EXPECT_EQ(steps.End().moved, step == 0 ? 2 * kUnit : 0);
    EXPECT_EQ(steps.peak, 6 * kUnit);
    EXPECT_EQ(steps.Told().unmoved_peak, 6 * kUnit);
    EXPECT_EQ(steps.Told().planned_peak, 6 * kUnit);
  }
}

// From the first value that is another on the policy decides.
TEST(TargetPeak, AStepOfAnotherShapeFollowsThePolicy) {
  for (const OffloadPolicy policy : {OffloadPolicy::kFit, OffloadPolicy::kAll}) {
    Steps steps(With(3, policy));
    const auto step = [&steps](const std::vector<std::uint64_t>& units) {
      steps.Begin();
      std::vector<Value> values;
      for (const std::uint64_t count : units) values.push_back(steps.PackAway(values.size(), "x", count));
      for (; !values.empty(); values.pop_back()) steps.TakeBack(std::exchange(values.back(), Value()));
      return steps.End();
    };
    const bool all = policy == OffloadPolicy::kAll;
    EXPECT_EQ(step({1, 1, 1, 1}).moved, all ? 4 * kUnit : 0);
    EXPECT_EQ(step({1, 1, 1, 1}).moved, kUnit);
    EXPECT_EQ(step({1, 2, 1, 1, 1}).moved, all ? 6 * kUnit : kUnit) << "the first is as it was";
    EXPECT_EQ(step({2, 1}).moved, all ? 3 * kUnit : 0);
    EXPECT_EQ(step({2, 1}).moved, 0u) << "3 units are below the target";
    EXPECT_EQ(step({2}).moved, 0u);
    EXPECT_EQ(step({2, 1, 1}).moved, all ? 2 * kUnit : 0) << "the step before had one value";
  }
}

TEST(TargetPeak, StepsThatAskForNothingTeachNothing) {
  Steps steps(With(5));
  steps.TwoPeaks();
  const PeakStatistics learned = steps.Told();
  steps.Begin();  // evaluates
  steps.Passing(9);
  steps.End();
  steps.Begin();  // forward alone
  { const Value dropped = steps.PackAway(9, "x", 2); }
  steps.Passing(9);
  steps.End();
  steps.Begin();  // is abandoned
  { const Value dropped = steps.PackAway(9, "x", 2); }
  steps.Begin();
  steps.End();
  steps.TakeBack(steps.PackAway(9, "between steps"));
  EXPECT_EQ(steps.Told().unmoved_peak, learned.unmoved_peak);
  EXPECT_EQ(steps.Told().planned, learned.planned);
  EXPECT_EQ(steps.TwoPeaks().moved, 2 * kUnit) << "the plan is as it was";
}

// An abandoned step that asked for values does not teach either, and the next one is counted by itself.
TEST(TargetPeak, AnAbandonedStepTeachesNothing) {
  Steps steps(With(5));
  steps.TwoPeaks();
  steps.Begin();
  Value kept = steps.PackAway(1, "a");
  steps.TakeBack(steps.PackAway(8, "x", 3));
  steps.Passing(9);
  EXPECT_EQ(steps.TwoPeaks().moved, 2 * kUnit);
  EXPECT_EQ(steps.Told().unmoved_peak, 8 * kUnit) << "the value of the abandoned step is still there";
  steps.TakeBack(std::move(kept));
}

TEST(TargetPeak, PacksOutsideStepsFollowThePolicy) {
  Steps steps(With(5));
  steps.TwoPeaks();
  for (std::uint64_t i = 1; i <= 3; ++i) steps.TakeBack(steps.PackAway(i, "x"));
  EXPECT_EQ(steps.p.ledger().moved, 0u);
}

// Values that never leave the program's hands free nothing, whatever the peak.
TEST(TargetPeak, WhatTheProgramHoldsIsNotMoved) {
  Steps steps(With(2, OffloadPolicy::kAll));
  for (int step = 0; step < 2; ++step) {
    steps.Begin();
    const Allocation mine = steps.p.Make(Pattern(1, 3));
    steps.Look();
    Value value = {steps.p.Pack(mine.storage, WholeOf(3 * kUnit)), 1, 3};
    steps.Passing(2);
    steps.TakeBack(std::move(value));
    steps.p.Retire(mine.storage);
    EXPECT_EQ(steps.End().moved, step == 0 ? 3 * kUnit : 0);
    EXPECT_EQ(steps.Told().unmoved_peak, 5 * kUnit);
    EXPECT_EQ(steps.Told().planned_peak, 5 * kUnit);
  }
}

// Several views of one storage are one value of the plan.
TEST(TargetPeak, ViewsOfOneStorageMoveTogether) {
  Steps steps(With(3));
  for (int step = 0; step < 3; ++step) {
    steps.Begin();
    const Allocation made = steps.p.Make(Pattern(1, 2));
    std::vector<Saved> views;
    views.push_back(steps.p.Pack(made.storage, PartOf(0, kUnit)));
    views.push_back(steps.p.Pack(made.storage, PartOf(kUnit / 2, 2 * kUnit)));
    views.push_back(steps.p.Pack(made.storage, WholeOf(2 * kUnit)));
    steps.p.Retire(made.storage);
    steps.Passing(3);
    EXPECT_EQ(steps.p.Unpack(views[0]), Slice(Pattern(1, 2), 0, kUnit));
    EXPECT_EQ(steps.p.Unpack(views[2]), Pattern(1, 2));
    views.clear();
    const Ledger ledger = steps.End();
    EXPECT_EQ(ledger.moved, step == 0 ? 0 : 2 * kUnit);
    EXPECT_EQ(steps.Told().planned_values, 1u);
    EXPECT_EQ(steps.Told().planned_peak, 3 * kUnit);
    EXPECT_EQ(steps.peak, (step == 0 ? 5 : 3) * kUnit);
  }
}

TEST(TargetPeak, WhatMayNotMoveIsNotPlanned) {
  Options options = With(3, OffloadPolicy::kAll);
  options.minimum_bytes = 2 * kUnit;
  Steps steps(options);
  for (int step = 0; step < 2; ++step) {
    steps.Begin();
    std::vector<Value> values;
    values.push_back(steps.PackAway(1, "small"));
    values.push_back(steps.PackAway(2, "large", 2));
    const Allocation parameter = steps.p.Make(Pattern(3), Holds::kPersistent);
    values.push_back({steps.p.Pack(parameter.storage, WholeOf(kUnit)), 3});
    steps.p.Retire(parameter.storage);
    steps.Passing(3);
    for (; !values.empty(); values.pop_back()) steps.TakeBack(std::exchange(values.back(), Value()));
    EXPECT_EQ(steps.End().moved, 2 * kUnit);
    EXPECT_EQ(steps.Told().unmoved_peak, 7 * kUnit);
    EXPECT_EQ(steps.Told().planned_peak, 5 * kUnit) << "the least that moving reaches";
    EXPECT_EQ(steps.Told().planned, 2 * kUnit);
  }
}

// A replay frees its bytes as a copy does; the source stays.
TEST(TargetPeak, WhatIsMadeAgainIsAwayToo) {
  Steps steps(With(3));
  for (int step = 0; step < 4; ++step) {
    steps.Begin();
    const Allocation x = steps.p.Make(Pattern(1));
    const Allocation y = steps.p.Make(Pattern(1));
    ASSERT_TRUE(steps.p.runtime->Derive({y.storage, WholeOf(kUnit)}, {x.storage, WholeOf(kUnit)}, Replay::Copy()).ok());
    Value first = {steps.p.Pack(x.storage, WholeOf(kUnit)), 1};
    Value second = {steps.p.Pack(y.storage, WholeOf(kUnit)), 1};
    steps.p.Retire(x.storage);
    steps.p.Retire(y.storage);
    steps.Passing(3);
    steps.TakeBack(std::move(second));
    steps.TakeBack(std::move(first));
    const Ledger ledger = steps.End();
    EXPECT_EQ(steps.Told().unmoved_peak, 5 * kUnit) << step;
    EXPECT_EQ(steps.Told().planned_peak, 3 * kUnit) << step;
    EXPECT_EQ(ledger.avoided_lineage, step == 0 ? 0 : kUnit) << step;
    EXPECT_EQ(steps.peak, (step == 0 ? 5 : 3) * kUnit) << step;
  }
}

// Memory of the program's own: what a keepalive holds.
TEST(TargetPeak, MemoryOfTheProgramCountsWhileItIsKept) {
  Steps steps(With(2, OffloadPolicy::kAll), /*with_memory=*/true);
  for (int step = 0; step < 3; ++step) {
    steps.Begin();
    std::vector<Value> values;
    for (std::uint64_t i = 0; i < 3; ++i) {
      Adopted x = Adopt(steps.p, Pattern(i));
      values.push_back({steps.p.Pack(x.storage, WholeOf(kUnit), x.memory), i});
      steps.p.Retire(x.storage);
    }
    steps.Passing(1);
    for (; !values.empty(); values.pop_back()) steps.TakeBack(std::exchange(values.back(), Value()));
    const Ledger ledger = steps.End();
    EXPECT_EQ(steps.Told().unmoved_peak, 4 * kUnit) << step;
    EXPECT_EQ(steps.Told().planned_peak, 2 * kUnit) << step;
    EXPECT_EQ(ledger.moved, (step == 0 ? 3 : 2) * kUnit) << step;
  }
}

TEST(TargetPeak, WhatComesBackAheadStaysBelowTheTarget) {
  Options options = With(3);
  options.devices[0].prefetch_bytes = 8 * kUnit;
  Steps steps(options);
  for (int step = 0; step < 3; ++step) {
    steps.Begin();
    std::vector<Value> values;
    for (std::uint64_t i = 0; i < 6; ++i) values.push_back(steps.PackAway(i, "x"));
    steps.p.runtime->BeginBackward();
    steps.Look();
    for (; !values.empty(); values.pop_back()) steps.TakeBack(std::exchange(values.back(), Value()));
    const Ledger ledger = steps.End();
    if (step == 0) continue;
    EXPECT_EQ(steps.peak, 3 * kUnit);
    EXPECT_EQ(ledger.moved, 3 * kUnit);
    EXPECT_EQ(ledger.prefetched, 3 * kUnit) << "into what the values before them left";
  }
}

// Memory that is short all the same: a target above the capacity plans too little.
TEST(TargetPeak, FitStillReactsWhereMemoryIsShort) {
  Options options = With(6);
  options.devices[0].capacity = 5 * kUnit;
  Steps steps(options);
  for (int step = 0; step < 3; ++step) {
    const Ledger ledger = steps.TwoPeaks();
    EXPECT_EQ(ledger.moved, 3 * kUnit) << "4 units in a row are wanted: " << step;
    EXPECT_EQ(ledger.reconsidered, (step == 0 ? 3 : 2) * kUnit) << "one is planned, two are not: " << step;
    EXPECT_EQ(steps.Told().unmoved_peak, 7 * kUnit) << step;
    EXPECT_EQ(steps.Told().planned_peak, 6 * kUnit) << step;
  }
  ExpectBookedOnce(steps.p.ledger());
}

TEST(TargetPeak, AWrittenValueIsNotHeldAnyMore) {
  Steps steps(With(3, OffloadPolicy::kAll));
  for (int step = 0; step < 2; ++step) {
    steps.Begin();
    const Allocation made = steps.p.Make(Pattern(1));
    Saved early = steps.p.Pack(made.storage, WholeOf(kUnit));
    ASSERT_TRUE(steps.p.runtime->Drain().ok());
    steps.p.BeginWrite(made.storage);
    steps.p.Write(made.data, Pattern(2), steps.p.compute());
    Value late = {steps.p.Pack(made.storage, WholeOf(kUnit)), 2};
    steps.p.Retire(made.storage);
    steps.Passing(4);
    steps.TakeBack(std::move(late));
    EXPECT_FALSE(steps.p.runtime->Unpack(early, steps.p.compute()).ok());
    steps.End();
    EXPECT_EQ(steps.Told().unmoved_peak, 5 * kUnit) << "one storage, whatever was saved of it";
  }
}

TEST(TargetPeak, MemoryOfTheProgramThatIsWrittenIsNotKept) {
  Options options = With(3, OffloadPolicy::kAll);
  options.write_waits = true;
  Steps steps(options, /*with_memory=*/true);
  for (int step = 0; step < 2; ++step) {
    steps.Begin();
    const Adopted x = Adopt(steps.p, Pattern(1));
    const Saved early = steps.p.Pack(x.storage, WholeOf(kUnit), x.memory);
    steps.p.BeginWrite(x.storage);
    steps.Passing(4);
    steps.TakeBack(steps.PackAway(2, "other"));
    steps.p.Retire(x.storage);
    steps.End();
    EXPECT_EQ(steps.Told().unmoved_peak, 4 * kUnit);
  }
}

// Each device has a target, and a step, of its own.
TEST(TargetPeak, DevicesHavePlansOfTheirOwn) {
  Options options = With(2);
  options.devices.push_back(options.devices[0]);
  options.devices[1].device = 1;
  options.devices[1].target_peak = 0;
  options.devices.push_back(options.devices[0]);
  options.devices[2].device = 2;
  options.devices[2].target_peak = kUnit;
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  std::vector<Stream> streams;
  for (int device = 0; device < 3; ++device) streams.push_back(runtime->CreateStream(device, "compute").value());
  for (std::uint64_t step = 0; step < 2; ++step) {
    runtime->BeginStep(step);
    std::vector<std::pair<Saved, Stream>> saved;
    for (int i = 0; i < 3; ++i) {
      for (const Stream stream : streams) {
        const Allocation made = runtime->Allocate(kUnit, Holds::kTransient, stream, "x").value();
        saved.emplace_back(runtime->Pack({made.storage, WholeOf(kUnit)}, nullptr, stream, "saved").value(), stream);
        ASSERT_TRUE(runtime->Retire(made.storage, stream).ok());
      }
    }
    for (; !saved.empty(); saved.pop_back()) {
      ASSERT_TRUE(runtime->Unpack(saved.back().first, saved.back().second).ok());
    }
    runtime->EndStep();
    EXPECT_EQ(runtime->statistics().last_step.moved, step == 0 ? 0 : 3 * kUnit) << "one of device 0, two of device 2";
  }
  const std::vector<PeakStatistics> told = runtime->statistics().peaks;
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].device, 0);
  EXPECT_EQ(told[0].planned, kUnit);
  EXPECT_EQ(told[1].device, 2);
  EXPECT_EQ(told[1].target, kUnit);
  EXPECT_EQ(told[1].planned, 2 * kUnit);
}

}  // namespace
}  // namespace tierlib
