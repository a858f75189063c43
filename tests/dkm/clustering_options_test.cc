// Options of Clustering beside its forms: what each changes, and what it refuses.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "dkm/golden.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

Status StatusOf(const dkm::Options& options) {
  TestDevice device;
  Tape tape(device.context());
  Clustering clustering("layer.w", options);
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(device.Make(DType::kF32, {64}, NormalWeights(1, 64)))).defined());
  return tape.status();
}

// --- epsilon --------------------------------------------------------------------------------------------------------

TEST(ClusteringEpsilon, EndsIterationsAndSaysHowManyRan) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
      dkm::Options options = With(form, attention);
      options.iterations = 50;
      options.epsilon = 4e-5;
      Trainer ended(options);
      EXPECT_EQ(ended.clustering.IterationsRun(), 0);
      const Trainer::Pass a = ended.Run();
      ASSERT_TRUE(a.status.ok()) << a.status;
      const int run = ended.clustering.IterationsRun();
      EXPECT_GT(run, 1);
      EXPECT_LT(run, 50);

      options.iterations = run;
      options.epsilon = 0;
      Trainer cut(options);
      const Trainer::Pass b = cut.Run();
      EXPECT_EQ(cut.clustering.IterationsRun(), run);
      EXPECT_EQ(a.output, b.output);
      EXPECT_EQ(a.gradient, b.gradient);
      const auto hard = [](Trainer& trainer) {
        return ReadBytes(trainer.clustering.Palettize(trainer.context(), trainer.weight.value).value());
      };
      EXPECT_EQ(hard(ended), hard(cut));
      ended.clustering.Advance();
      cut.clustering.Advance();
      EXPECT_EQ(ended.clustering.Centroids().value(), cut.clustering.Centroids().value());

      // From where they settled it takes fewer.
      ASSERT_TRUE(ended.Run().status.ok());
      EXPECT_LT(ended.clustering.IterationsRun(), run);
    }
  }
}

// Tiny epsilons are not reached, however long the iterations: T is the most.
TEST(ClusteringEpsilon, RunsTheMostIterationsWhereCentroidsKeepMoving) {
  for (const Form form : {Form::kTiled, Form::kExact, Form::kReference, Form::kPaper}) {
    dkm::Options options = With(form);
    if (form == Form::kTiled || form == Form::kExact) options.epsilon = 1e-30;
    Trainer trainer(options);
    ASSERT_TRUE(trainer.Run().status.ok());
    EXPECT_EQ(trainer.clustering.IterationsRun(), 3);
  }
}

TEST(ClusteringEpsilon, RefusesWhatCannotBe) {
  ExpectFailure(StatusOf({.epsilon = -1}), "epsilon is positive, or 0 for all iterations, not -1");
  ExpectFailure(StatusOf({.epsilon = std::numeric_limits<double>::quiet_NaN()}), "epsilon");
  ExpectFailure(StatusOf({.epsilon = std::numeric_limits<double>::infinity()}), "epsilon");
  ExpectFailure(StatusOf({.iterations = 65537}), "iterations are 1 to 65536, not 65537");
  for (const Form form : {Form::kReference, Form::kPaper}) {
    ExpectFailure(StatusOf({.epsilon = 1e-3, .form = form}), "with epsilon use form tiled or exact");
  }
}

}  // namespace
}  // namespace tierlib::dkm
