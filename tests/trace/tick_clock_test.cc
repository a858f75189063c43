#include "trace/tick_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "io/temporary_folder.h"

namespace tierlib::trace {
namespace {

TEST(TickScale, IsLinearBetweenPairsAndBeyondThem) {
  TickScale scale;
  EXPECT_TRUE(scale.Add({1000, 50}));
  EXPECT_TRUE(scale.Add({2000, 550}));  // half a nanosecond a tick
  EXPECT_TRUE(scale.Add({3000, 2050}));
  EXPECT_EQ(scale.ToNs(1000), 50);
  EXPECT_EQ(scale.ToNs(1500), 300);
  EXPECT_EQ(scale.ToNs(2500), 1300);
  EXPECT_EQ(scale.ToNs(4000), 3050);  // one a tick in all
  EXPECT_EQ(scale.ToNs(900), -50);
}

TEST(TickScale, LeavesOutPairsThatGoBack) {
  TickScale scale;
  EXPECT_TRUE(scale.Add({1000, 100}));
  EXPECT_TRUE(scale.Add({3000, 300}));
  EXPECT_FALSE(scale.Add({3000, 400}));
  EXPECT_FALSE(scale.Add({4000, 300}));
  EXPECT_FALSE(scale.Add({2000, 50}));
  EXPECT_FALSE(scale.Add({2000, 300}));
  EXPECT_FALSE(scale.Add({500, 100}));
  EXPECT_TRUE(scale.Add({2000, 250}));
  EXPECT_EQ(scale.size(), 3u);
  EXPECT_EQ(scale.ToNs(1500), 175);
}

TEST(TickScale, NeverFalls) {
  Random random(9);
  TickScale scale;
  std::uint64_t ticks = 0;
  std::int64_t ns = 0;
  for (int i = 0; i < 50; ++i) {
    ticks += 1 + random.UniformInt(5'000);
    ns += 1 + static_cast<std::int64_t>(random.UniformInt(2'000));
    ASSERT_TRUE(scale.Add({ticks, ns}));
  }
  std::int64_t before = std::numeric_limits<std::int64_t>::min();
  for (std::uint64_t t = 0; t < ticks + 1000; t += 3) {
    ASSERT_GE(scale.ToNs(t), before) << t;
    before = scale.ToNs(t);
  }
}

TEST(TickScale, TakesAnyPairs) {
  TickScale scale;
  EXPECT_EQ(scale.ToNs(77), 77);
  EXPECT_TRUE(scale.Add({0, std::numeric_limits<std::int64_t>::min()}));
  EXPECT_EQ(scale.ToNs(77), std::numeric_limits<std::int64_t>::min());
  EXPECT_TRUE(scale.Add({1, std::numeric_limits<std::int64_t>::max()}));
  EXPECT_EQ(scale.ToNs(std::numeric_limits<std::uint64_t>::max()), std::numeric_limits<std::int64_t>::max());
}

TEST(TickScale, ThinsTheOlderHalf) {
  TickScale scale;
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(scale.Add({i * 10, static_cast<std::int64_t>(i) * 20}));
  scale.Thin(100);
  EXPECT_EQ(scale.size(), 100u);
  scale.Thin(99);
  EXPECT_LT(scale.size(), 80u);
  EXPECT_GT(scale.size(), 70u);
  for (std::uint64_t t = 0; t < 1200; t += 7) EXPECT_NEAR(static_cast<double>(scale.ToNs(t)), 2.0 * t, 1) << t;
  EXPECT_TRUE(scale.Add({2000, 4000}));
}

TEST(TickClock, PairsLieBetweenReadingsOfTheClock) {
  const std::int64_t before = NowNs();
  const ClockPair pair = MeasureClockPair();
  EXPECT_GE(pair.monotonic_ns, before);
  EXPECT_LE(pair.monotonic_ns, NowNs());
}

TEST(TickClock, IsNotUsedWhereTheCounterIsNotInvariant) {
  const ScopedFailpoint none("trace.ticks", {.persistent = true});
  const StartOfTicks start = CalibrateTicks();
  EXPECT_FALSE(start.usable);
  EXPECT_EQ(start.pairs[0].ticks, 0u);
}

TEST(TickClock, IsNotUsedWhereTheKernelHasAnotherClock) {
  TemporaryFolder folder;
  EXPECT_FALSE(KernelTrustsTicks(folder.path())) << "it does not say";
  const auto trusts = [&](const char* current, const char* available) {
    WriteWhole(folder / "current_clocksource", current);
    WriteWhole(folder / "available_clocksource", available);
    return KernelTrustsTicks(folder.path());
  };
  EXPECT_TRUE(trusts("tsc\n", "tsc hpet acpi_pm \n"));
  EXPECT_FALSE(trusts("hpet\n", "hpet acpi_pm \n"));
  EXPECT_FALSE(trusts("hpet\n", "tsc hpet acpi_pm \n")) << "somebody chose it";
  EXPECT_TRUE(trusts("kvm-clock\n", "kvm-clock tsc acpi_pm \n"));
  EXPECT_FALSE(trusts("kvm-clock\n", "kvm-clock acpi_pm \n"));
  EXPECT_TRUE(trusts("hyperv_clocksource_tsc_page\n", "hyperv_clocksource_tsc_page tsc \n"));
  EXPECT_FALSE(trusts("\n", "tsc\n"));
}

TEST(TickClock, CalibratedTicksGiveTheTime) {
  const StartOfTicks start = CalibrateTicks();
  if (!start.usable) GTEST_SKIP() << "this processor's counter is not used";
  TickScale scale;
  ASSERT_TRUE(scale.Add(start.pairs[0]));
  ASSERT_TRUE(scale.Add(start.pairs[1]));
  const std::int64_t before = NowNs();
  const std::int64_t ns = scale.ToNs(ReadTicks());
  const std::int64_t after = NowNs();
  // The rate is known to 2 %: of the time since the start.
  const std::int64_t slack = (after - start.pairs[0].monotonic_ns) / 50 + 100'000;
  EXPECT_GE(ns, before - slack);
  EXPECT_LE(ns, after + slack);
}

}  // namespace
}  // namespace tierlib::trace
