// Linked into tests of kernels: TIERLIB_SIMD_TARGET=AVX2 (a name of Highway's) has them run with that instruction set
// alone. Without it the best one of the machine runs. Where the machine lacks it, tests are skipped with that reason.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "hwy/targets.h"

namespace tierlib {
namespace {

class SimdTarget : public testing::Environment {
 public:
  void SetUp() override {
    const char* const wanted = std::getenv("TIERLIB_SIMD_TARGET");
    if (wanted == nullptr) return;
    std::string known;
    for (std::int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
      const std::int64_t target = rest & -rest;
      known += std::string(known.empty() ? "" : ", ") + hwy::TargetName(target);
      if (hwy::TargetName(target) != std::string(wanted)) continue;
      hwy::SetSupportedTargetsForTest(target);
      ASSERT_EQ(hwy::SupportedTargets(), target);
      return;
    }
    GTEST_SKIP() << "this machine has no " << wanted << ": it has " << known;
  }
};

[[maybe_unused]] const auto* const environment = testing::AddGlobalTestEnvironment(new SimdTarget);

}  // namespace
}  // namespace tierlib
