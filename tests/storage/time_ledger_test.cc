// The ledger of time on a device whose every time is known, so that each figure can be worked out by hand.
#include "storage/time_ledger.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "storage/stall_watch.h"
#include "storage/timed_device.h"
#include "storage/transfer_engine.h"

namespace tierlib {
namespace {

constexpr StorageId kStorage{0, 1};

class TimeLedgerTest : public testing::Test {
 protected:
  TimeLedgerTest() {
    stalls.SetCopyStreams(transfers->out_stream(), transfers->in_stream());
    ledger.Follow(compute);
  }

  TransferRef CopyOut(std::size_t bytes) {
    const CopyRun run{nullptr, nullptr, bytes};
    return transfers->CopyOut({&run, 1}, *events.MarkNow(compute).value(), kStorage, nullptr).value();
  }
  TransferRef CopyIn(std::size_t bytes, const TransferRef& source) {
    const CopyRun run{nullptr, nullptr, bytes};
    return transfers->CopyIn({&run, 1}, {&source, 1}, kStorage, nullptr).value();
  }
  void WaitFor(const TransferRef& transfer, trace::StallCause cause, Stream stream, std::string_view label = "x") {
    const MarkRef before = stalls.Before(stream);
    ASSERT_TRUE(transfers->WaitOn(stream, transfer).ok());
    stalls.After(before, {kStorage, label, 0}, cause);
  }
  void PassUntil(std::int64_t ns) {
    device.now = ns;
    transfers->Poll();
    stalls.Poll();
    ledger.Poll();
  }
  DeviceTimes times() const { return ledger.times(); }
  StepTimes last() const { return times().last_step; }
  StreamTimes on_compute() const { return last().streams.at(0); }

  TimedDevice device;
  EventPool events{device};
  TimeLedger ledger{device, events};
  StallWatch stalls{device, events, ledger, nullptr};
  std::unique_ptr<TransferEngine> transfers = TransferEngine::Create(device, events, nullptr, &ledger).value();
  const Stream compute = device.CreateStream("compute").value();
  const Stream other = device.CreateStream("other").value();
};

TEST_F(TimeLedgerTest, BooksEachNanosecondOfAStep) {
  device.now = 50;
  ledger.BeginStep(7);
  device.Kernel(compute, 1000);                          // 50..1050
  const TransferRef out = CopyOut(500);                  // 1050..1550
  device.Kernel(compute, 300);                           // 1050..1350
  const TransferRef in = CopyIn(400, out);               // 1550..1950
  WaitFor(in, trace::StallCause::kLateCopyIn, compute);  // 1350..1950
  device.Kernel(compute, 100);                           // 1950..2050
  device.now = 2550;                                     // the host is late
  device.Kernel(compute, 50);
  ledger.EndStep();
  PassUntil(2600);
  EXPECT_EQ(last().step, 7u);
  EXPECT_EQ(last().steps, 1u);
  EXPECT_EQ(last().wall_ns, 2550u);
  EXPECT_EQ(last().copy_out_ns, 500u);
  EXPECT_EQ(last().copy_in_ns, 400u);
  EXPECT_EQ(last().transfer_ns, 900u);
  EXPECT_EQ(last().exposed_ns, 600u);
  EXPECT_EQ(last().hidden_ns, 300u);
  EXPECT_EQ(last().unmeasured, 0u);
  ASSERT_EQ(last().streams.size(), 1u);
  EXPECT_EQ(on_compute().stream, compute);
  EXPECT_EQ(on_compute().wall_ns, 2550u);
  EXPECT_EQ(on_compute().compute_ns, 1450u);
  EXPECT_EQ(on_compute().stalls.late_copy_in_ns, 600u);
  EXPECT_EQ(on_compute().unknown_ns, 500u);
}

TEST_F(TimeLedgerTest, TellsTheCausesApart) {
  ledger.BeginStep(1);
  WaitFor(CopyOut(10), trace::StallCause::kWriteFence, compute);   // 0..10
  WaitFor(CopyOut(20), trace::StallCause::kCopyOutTail, compute);  // 10..30
  WaitFor(CopyOut(30), trace::StallCause::kProducer, compute);     // 30..60
  WaitFor(CopyOut(40), trace::StallCause::kAllocation, compute);   // 60..100
  ledger.EndStep();
  PassUntil(100);
  EXPECT_EQ(on_compute().stalls.write_fence_ns, 10u);
  EXPECT_EQ(on_compute().stalls.copy_out_tail_ns, 20u);
  EXPECT_EQ(on_compute().stalls.producer_ns, 30u);
  EXPECT_EQ(on_compute().stalls.allocation_ns, 40u);
  EXPECT_EQ(on_compute().unknown_ns, 0u);
  EXPECT_EQ(last().exposed_ns, 30u) << "those that copies are the cause of";
  EXPECT_EQ(last().hidden_ns, 70u);
}

// Reuse of memory: the pool says which stream it makes wait for which.
TEST_F(TimeLedgerTest, BooksWaitsOfThePoolByWhomTheyAreFor) {
  ledger.BeginStep(1);
  for (const Stream freed_on : {transfers->out_stream(), other}) {
    device.Kernel(freed_on, freed_on == other ? 100 : 60);
    const MarkRef freed = events.MarkNow(freed_on).value();
    stalls.WaitBegins(compute);
    ASSERT_TRUE(device.WaitEvent(compute, freed->event).ok());
    stalls.WaitEnds(compute, freed_on);
  }
  stalls.WaitBegins(transfers->in_stream());  // of the runtime's own: no stall
  stalls.WaitEnds(transfers->in_stream(), compute);
  ledger.EndStep();
  PassUntil(100);
  EXPECT_EQ(on_compute().stalls.copy_out_tail_ns, 60u);
  EXPECT_EQ(on_compute().stalls.allocation_ns, 40u);
  EXPECT_EQ(last().streams.size(), 1u);
}

TEST_F(TimeLedgerTest, TellsStoragesApartByTheirLabels) {
  ledger.BeginStep(1);
  WaitFor(CopyOut(10), trace::StallCause::kLateCopyIn, compute, "b");
  WaitFor(CopyOut(20), trace::StallCause::kLateCopyIn, compute, "a");
  WaitFor(CopyOut(30), trace::StallCause::kWriteFence, compute, "b");
  ledger.EndStep();
  PassUntil(60);
  const std::vector<StorageStalls> by_storage = ledger.StallsByStorage();
  ASSERT_EQ(by_storage.size(), 2u);
  EXPECT_EQ(by_storage[0].label, "a");
  EXPECT_EQ(by_storage[0].times.late_copy_in_ns, 20u);
  EXPECT_EQ(by_storage[1].label, "b");
  EXPECT_EQ(by_storage[1].count, 2u);
  EXPECT_EQ(by_storage[1].times.late_copy_in_ns, 10u);
  EXPECT_EQ(by_storage[1].times.write_fence_ns, 30u);
}

TEST_F(TimeLedgerTest, CountsWhatHappensAtOnceOnce) {
  ledger.Follow(other);
  ledger.BeginStep(1);
  const TransferRef out = CopyOut(100);  // 0..100
  const CopyRun run{nullptr, nullptr, 60};
  const TransferRef in = transfers->CopyIn({&run, 1}, {}, kStorage, nullptr).value();  // 0..60
  WaitFor(out, trace::StallCause::kCopyOutTail, compute);                              // 0..100
  WaitFor(in, trace::StallCause::kLateCopyIn, other);                                  // 0..60
  ledger.EndStep();
  PassUntil(100);
  EXPECT_EQ(last().copy_out_ns, 100u);
  EXPECT_EQ(last().copy_in_ns, 60u);
  EXPECT_EQ(last().transfer_ns, 100u);
  EXPECT_EQ(last().exposed_ns, 100u);
  EXPECT_EQ(last().hidden_ns, 0u);
  EXPECT_EQ(last().streams.at(0).stalls.copy_out_tail_ns, 100u);
  EXPECT_EQ(last().streams.at(1).stalls.late_copy_in_ns, 60u);
}

TEST_F(TimeLedgerTest, KeepsAStepOpenUntilAllOfItHasEnded) {
  ledger.BeginStep(1);
  device.Kernel(compute, 100);
  const TransferRef out = CopyOut(500);  // 100..600
  ledger.EndStep();
  PassUntil(99);
  EXPECT_EQ(times().total.steps, 0u);
  PassUntil(100);
  EXPECT_EQ(times().total.steps, 0u) << "its copy is still under way";
  PassUntil(600);
  EXPECT_EQ(times().total.steps, 1u);
}

TEST_F(TimeLedgerTest, GivesEachStepItsPartOfACopy) {
  ledger.BeginStep(1);
  device.Kernel(compute, 100);
  const TransferRef out = CopyOut(500);  // 100..600
  device.Kernel(compute, 100);
  ledger.EndStep();  // 200
  ledger.BeginStep(2);
  device.Kernel(compute, 1000);
  ledger.EndStep();
  PassUntil(900);
  EXPECT_EQ(last().step, 1u);
  EXPECT_EQ(last().copy_out_ns, 100u);
  EXPECT_EQ(last().hidden_ns, 100u);
  PassUntil(1200);
  EXPECT_EQ(last().step, 2u);
  EXPECT_EQ(last().copy_out_ns, 400u);
  EXPECT_EQ(times().total.steps, 2u);
  EXPECT_EQ(times().total.copy_out_ns, 500u);
  EXPECT_EQ(times().total.wall_ns, 1200u);
  EXPECT_EQ(times().total.streams.at(0).compute_ns, 1200u);
}

TEST_F(TimeLedgerTest, OfAStreamOfTheProgramTheStallsAreKnown) {
  ledger.BeginStep(1);
  const TransferRef out = CopyOut(100);
  WaitFor(out, trace::StallCause::kLateCopyIn, other);
  device.Kernel(compute, 200);
  ledger.EndStep();
  PassUntil(200);
  ASSERT_EQ(last().streams.size(), 2u);
  EXPECT_EQ(last().streams.at(1).stream, other);
  EXPECT_EQ(last().streams.at(1).stalls.late_copy_in_ns, 100u);
  EXPECT_EQ(last().streams.at(1).wall_ns, 0u);
  EXPECT_EQ(last().exposed_ns, 100u);
}

TEST_F(TimeLedgerTest, WithoutTimedKernelsTimeBetweenStallsIsCompute) {
  device.times_kernels = false;
  ledger.BeginStep(1);
  device.Kernel(compute, 100);
  WaitFor(CopyOut(50), trace::StallCause::kLateCopyIn, compute);
  device.Kernel(compute, 30);
  ledger.EndStep();
  PassUntil(180);
  EXPECT_EQ(on_compute().compute_ns, 130u);
  EXPECT_EQ(on_compute().stalls.late_copy_in_ns, 50u);
  EXPECT_EQ(on_compute().unknown_ns, 0u);
}

TEST_F(TimeLedgerTest, RecordsNothingOutsideSteps) {
  const TransferRef out = CopyOut(100);
  EXPECT_EQ(out->begin, nullptr);
  EXPECT_EQ(stalls.Before(compute), nullptr);
  ledger.BeginStep(1);
  ledger.EndStep();
  EXPECT_EQ(stalls.Before(compute), nullptr);
  PassUntil(100);
  EXPECT_EQ(times().total.steps, 1u);
  EXPECT_EQ(times().total.copy_out_ns, 0u);
}

TEST_F(TimeLedgerTest, AStepThatWasNotEndedEndsWhereTheNextBegins) {
  ledger.BeginStep(1);
  device.Kernel(compute, 10);
  ledger.BeginStep(2);
  device.Kernel(compute, 20);
  ledger.EndStep();
  ledger.EndStep();
  PassUntil(30);
  EXPECT_EQ(times().total.steps, 2u);
  EXPECT_EQ(times().total.wall_ns, 30u);
  EXPECT_EQ(last().wall_ns, 20u);
}

TEST_F(TimeLedgerTest, KeepsABoundedNumberAndCountsTheRest) {
  ledger.BeginStep(1);
  for (std::int64_t i = 0; i < 65'540; ++i) {
    ledger.AddStall(compute, trace::StallCause::kLateCopyIn, {i, i + 1}, std::to_string(i % 1030));
  }
  device.Kernel(compute, 70'000);
  ledger.EndStep();
  PassUntil(70'000);
  EXPECT_EQ(last().unmeasured, 4u);
  const std::vector<StorageStalls> by_storage = ledger.StallsByStorage();
  ASSERT_EQ(by_storage.size(), 1025u);
  EXPECT_EQ(by_storage[0].label, "(other)");
  EXPECT_EQ(by_storage[0].count, 378u);
  EXPECT_EQ(on_compute().stalls.late_copy_in_ns, 65'536u);
}

}  // namespace
}  // namespace tierlib
