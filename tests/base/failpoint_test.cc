#include "base/failpoint.h"

#include <gtest/gtest.h>

namespace tierlib {
namespace {

Failpoint first("test.first");
Failpoint second("test.second");

TEST(Failpoint, NeverFailsUnlessArmed) {
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(first.Fails());
}

TEST(Failpoint, FailsOnceAtTheGivenCall) {
  const ScopedFailpoint failure("test.first", {.call = 3});
  EXPECT_FALSE(first.Fails());
  EXPECT_FALSE(first.Fails());
  EXPECT_TRUE(first.Fails());
  EXPECT_FALSE(first.Fails());
  EXPECT_FALSE(second.Fails());
  EXPECT_EQ(failure.calls(), 4);
}

TEST(Failpoint, FailsFromTheGivenCallOn) {
  {
    const ScopedFailpoint failure("test.second", {.call = 2, .persistent = true});
    EXPECT_FALSE(second.Fails());
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(second.Fails());
  }
  EXPECT_FALSE(second.Fails());
  const ScopedFailpoint again("test.second", {});
  EXPECT_TRUE(second.Fails());  // counted from the start
}

TEST(FailpointDeathTest, ArmingAnUnknownNameAborts) {
  EXPECT_DEATH(ScopedFailpoint("test.third", {}), "no failpoint has this name");
}

}  // namespace
}  // namespace tierlib
