// The dense chains with shares of what they save (S of eDKM), by groups of 2, 3, 5 and 8 learners: threads of one
// process, or processes over MPI. All hold the bits of one learner alone.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "comm/learners.h"
#include "dkm/dense_chain_learner.h"

namespace tierlib::dkm {
namespace {

class GroupChain : public testing::TestWithParam<int> {};

TEST_P(GroupChain, HoldsTheBitsOfOneLearnerAlone) {
  const int learners = GetParam();
  if (TIERLIB_RANDOM_SCALE > 10 && learners > 3) GTEST_SKIP() << "takes long with ThreadSanitizer";
  for (const ChainFunction chain : {ReferenceChain, PaperChain}) {
    LearnerCase one{.chain = chain, .chain_options = {1e-4, 2}, .vectors = 1001};  // no share is as large as the others
    const LearnerRun alone = RunLearner(one, autograd::SmallOptions());
    ASSERT_TRUE(alone.status.ok()) << alone.status;
    for (const bool uniquify : {false, true}) {
      SCOPED_TRACE(std::string(chain == PaperChain ? "paper" : "reference") + (uniquify ? " with U" : ""));
      one.chain_options.uniquify = uniquify;
      const LearnerRun whole = RunLearner(one, autograd::SmallOptions());
      const auto run = [&](std::unique_ptr<comm::Communicator>& me) {
        LearnerCase mine = one;
        mine.chain_options.sharding = {.learners = me.get(), .minimum_bytes = 1};
        LearnerRun made = RunLearner(mine, autograd::SmallOptions());
        if (!made.status.ok()) me.reset();
        return made;
      };
      for (const LearnerRun& made : comm::RunLearners<LearnerRun>(learners, comm::kLongNs, run)) {
        ASSERT_TRUE(made.status.ok()) << made.status;
        EXPECT_TRUE(made.output == alone.output);
        EXPECT_TRUE(made.centroids == alone.centroids);
        EXPECT_TRUE(made.weight_gradient == alone.weight_gradient);
        EXPECT_LT(made.moved, whole.moved);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Learners, GroupChain, testing::Values(2, 3, 5, 8),
                         [](const auto& learners) { return "Of" + std::to_string(learners.param); });

}  // namespace
}  // namespace tierlib::dkm
