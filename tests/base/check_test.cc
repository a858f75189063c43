#include "base/check.h"

#include <gtest/gtest.h>

namespace tierlib {
namespace {

TEST(CheckDeathTest, AFailedCheckSaysWhereAndWhy) {
  const int live = -1;
  EXPECT_DEATH(TIERLIB_CHECK(live >= 0, "live bytes are counted"),
               "check_test.cc:[0-9]+: check failed: live >= 0: live bytes are counted");
}

TEST(Check, AGoodCheckDoesNothing) {
  int evaluations = 0;
  TIERLIB_CHECK(++evaluations == 1, "evaluated once");
  EXPECT_EQ(evaluations, 1);
}

}  // namespace
}  // namespace tierlib
