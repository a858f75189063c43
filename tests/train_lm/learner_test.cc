// What keeps learners equal, and what is told where one fails.
#include "train_lm/learner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "llama/float_convert.h"
#include "train_lm/sample_text.h"
#include "train_lm/trainer.h"

namespace train_lm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using tierlib::DType;
using tierlib::Status;
using tierlib::StatusCode;
using tierlib::autograd::Context;
using tierlib::autograd::Parameter;
using tierlib::autograd::Tensor;

std::string Message(const Status& status) { return std::string(status.message()); }

std::unique_ptr<tierlib::Runtime> SmallRuntime() {
  tierlib::Options options;
  options.devices[0].capacity = tierlib::MiB(16);
  return tierlib::Runtime::Create(options).value();
}

TEST(Learner, SharesCoverABatchOnceAndWeighWhatTheyHold) {
  for (const int learners : {1, 2, 3, 5}) {
    std::vector<Learner::Share> shares(static_cast<std::size_t>(learners));
    ASSERT_TRUE(RunLearners(learners, [&](Learner me) {
                  shares[static_cast<std::size_t>(me.rank())] = me.ShareOf(7);
                  return tierlib::OkStatus();
                }).ok());
    std::int64_t next = 0;
    for (const Learner::Share& share : shares) {
      EXPECT_EQ(share.first, next);
      EXPECT_GE(share.sequences, 7 / learners);
      EXPECT_DOUBLE_EQ(share.weight, static_cast<double>(share.sequences) / 7);
      next += share.sequences;
    }
    EXPECT_EQ(next, 7);
  }
}

// Shares of 3, 2 and 2 sequences whose means are 1, 10 and 100: learners that count the same would give 37.
TEST(Learner, ReducesGradientsByWhatSharesHold) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const bool transposed : {false, true}) {
      const Status status = RunLearners(3, [&](Learner me) {
        const std::unique_ptr<tierlib::Runtime> runtime = SmallRuntime();
        const std::unique_ptr<Context> context = Context::Create(*runtime).value();
        const double mean = me.rank() == 0 ? 1 : me.rank() == 1 ? 10 : 100;
        const std::vector<double> mine = {mean, 2 * mean, -mean, 0, 0, 0};
        Parameter with{"with", Tensor(), Tensor()}, without{"without", Tensor(), Tensor()};
        with.gradient = Tensor::FromHost(*context, dtype, {2, 3}, llama::WriteFloats(mine, dtype).data(),
                                         tierlib::Holds::kTransient, "gradient")
                            .value();
        if (transposed) {
          tierlib::Layout layout = tierlib::Layout::Contiguous(dtype, {3, 2});
          layout.strides = {1, 3};
          with.gradient = with.gradient.WithLayout(layout);
        }
        TIERLIB_RETURN_IF_ERROR(me.ReduceGradients(*context, {&with, &without}, me.ShareOf(7)));
        EXPECT_FALSE(without.gradient.defined());
        std::vector<char> bytes(static_cast<std::size_t>(with.gradient.layout().logical_bytes()));
        TIERLIB_RETURN_IF_ERROR(with.gradient.CopyToHost(bytes.data(), bytes.size()));
        const std::vector<double> got = llama::ReadFloats(bytes.data(), dtype, 6);
        constexpr double kMean = (3 * 1 + 2 * 10 + 2 * 100) / 7.0;
        const double tolerance = dtype == DType::kF32 ? 1e-5 : 0.1;  // half a unit of bfloat16 at 64 is 0.125
        const std::vector<std::size_t> where =
            transposed ? std::vector<std::size_t>{0, 2, 4} : std::vector<std::size_t>{0, 1, 2};
        EXPECT_NEAR(got[where[0]], kMean, tolerance * 2);
        EXPECT_NEAR(got[where[1]], 2 * kMean, tolerance * 4);
        EXPECT_NEAR(got[where[2]], -kMean, tolerance * 2);
        return tierlib::OkStatus();
      });
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

TEST(RunLearners, NamesTheOneThatFailedWhileOthersWaitForIt) {
  const Status status = RunLearners(3, [](Learner me) -> Status {
    if (me.rank() == 1) return tierlib::ResourceExhaustedError("the device is full");
    return me.Any(false).status();
  });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(status), "learner 1: the device is full");
}

// As a stored tensor that cannot be loaded: the others fail before the operator that told them returns.
TEST(RunLearners, NamesTheOneThatGaveUpWithinAnOperator) {
  const Status status = RunLearners(3, [](Learner me) -> Status {
    if (me.rank() != 1) return me.Any(false).status();
    me.group()->Abort("the device is full");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return tierlib::ResourceExhaustedError("the device is full");
  });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(status), "learner 1: the device is full");
}

TEST(RunLearners, NamesTheOneThatTheMachineHasNoMemoryFor) {
  const Status status = RunLearners(3, [](Learner me) -> Status {
    if (me.rank() == 2) throw std::bad_alloc();
    return me.Any(false).status();
  });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(status), HasSubstr("learner 2: the machine has not enough memory"));
}

TEST(RunLearners, SaysOnceWhatAllOfThemSay) {
  const Status status = RunLearners(4, [](Learner) -> Status { return Status(StatusCode::kCancelled, "stopped"); });
  EXPECT_EQ(status, Status(StatusCode::kCancelled, "stopped"));
}

TEST(RunLearners, DoesNotLeaveOthersWaitingForOneThatIsDone) {
  const Status status =
      RunLearners(2, [](Learner me) -> Status { return me.leads() ? tierlib::OkStatus() : me.Any(false).status(); });
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("learner 0 left the group"));
}

// Each learner with a job of its own, so that one can be given what it should not have.
class LearnersOfOneJob : public ::testing::Test {
 protected:
  LearnersOfOneJob() {
    options_.context = 8;
    options_.layers = 1;
    options_.heads = 2;
    options_.width = 16;
    options_.batch = 3;
    options_.learners = 3;
    options_.bits = 2;
    options_.threads = 1;
    options_.steps = 4;
    for (int i = 0; i < 400; ++i) text_.tokens.push_back(i * i % 11);
    text_.vocabulary = 11;
    text_.training = 360;
  }
  // `spoil` may change a learner's weights. Steps, and compares what learners hold.
  Status TrainTwoSteps(const std::function<void(int, HostWeights&)>& spoil) {
    return RunLearners(3, [&](Learner me) -> Status {
      const ModelShape shape{text_.vocabulary, options_.context, options_.layers,
                             options_.heads,   options_.width,   std::nullopt};
      Job job{options_, text_, shape, DrawWeights(shape, options_.dtype, options_.seed), nullptr, 0, 0};
      spoil(me.rank(), job.weights);
      const std::unique_ptr<tierlib::Runtime> runtime = SmallRuntime();
      TIERLIB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(job, *runtime, me));
      for (int step = 0; step < 2; ++step) TIERLIB_RETURN_IF_ERROR(trainer->Step().status());
      return trainer->CheckLearnersEqual();
    });
  }

  Options options_;
  Text text_;
};

TEST_F(LearnersOfOneJob, HoldTheSameWeights) {
  const Status status = TrainTwoSteps([](int, HostWeights&) {});
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(LearnersOfOneJob, AreToldWhoHoldsOtherWeights) {
  const Status status = TrainTwoSteps([](int rank, HostWeights& weights) {
    if (rank == 2) weights[0].bytes[0] ^= 1;
  });
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(Message(status), "step 2: learner 2 has other weights or centroids than learner 0");
}

}  // namespace
}  // namespace train_lm
