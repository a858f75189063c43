// Every call that a small program makes the runtime make of its device and tiers fails in turn, once and from then on.
// Each failure is a Status, the ledger and the pools add up, bytes that were packed come back, the call works when made
// again, and nothing is left at the end.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "runtime/fault_trial.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

class DeviceFaults : public Injector {
 public:
  explicit DeviceFaults(Faults& faults) : faults_(faults) {}
  std::uint64_t failures() const override { return faults_.failures(); }
  void Pause() override { paused_.push_back(std::make_unique<Faults::Paused>()); }
  void Resume() override { paused_.pop_back(); }

 private:
  Faults& faults_;
  std::vector<std::unique_ptr<Faults::Paused>> paused_;
};

class FaultLoop : public testing::TestWithParam<Scenario> {
 protected:
  void Run(FaultPlan plan) {
    faults_ = std::make_shared<Faults>(std::move(plan));
    Options options = DeterministicOptions(1);
    options.devices[0].faults = faults_;
    DeviceFaults injector(*faults_);
    try {
      GetParam().run(injector, options);
    } catch (const TrialEnded&) {
    }
    for (const FaultPoint point :
         {FaultPoint::kReserve, FaultPoint::kPin, FaultPoint::kCreateStream, FaultPoint::kCreateEvent}) {
      EXPECT_EQ(faults_->outstanding(point), 0) << FaultPointName(point);
    }
  }

  std::shared_ptr<Faults> faults_;  // of the latest run
};

TEST_P(FaultLoop, EveryFailureIsAStatusThatLeavesEverythingWhole) {
  Run(FaultPlan());
  ASSERT_FALSE(HasFailure()) << "without a fault";
  const std::uint64_t points = faults_->calls();
  std::printf("%s: %llu points\n", GetParam().name, static_cast<unsigned long long>(points));
  EXPECT_GE(points, GetParam().least_points) << "calls that were counted are not any more";
  // Sanitizers take long: every third call, and every seventh with ThreadSanitizer, which has less to look for in what
  // a single thread runs.
  constexpr std::uint64_t kStep = TIERLIB_RANDOM_SCALE > 10 ? 7 : TIERLIB_RANDOM_SCALE > 1 ? 3 : 1;
  for (std::uint64_t call = 1; call <= points; call += kStep) {
    for (const bool persistent : {false, true}) {
      SCOPED_TRACE("call " + std::to_string(call) + (persistent ? " and all later ones" : " alone"));
      FaultPlan plan;
      plan.call = call;
      plan.persistent = persistent;
      Run(plan);
      EXPECT_GE(faults_->failures(), 1u) << "the call was not made";
      if (HasFailure() && std::getenv("FAULT_LOOP_GO_ON") == nullptr) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FaultLoop, testing::ValuesIn(FaultScenarios()),
                         [](const testing::TestParamInfo<Scenario>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace tierlib
