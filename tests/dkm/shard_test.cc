// Shares of stored tensors where learners do not load the same ones, or one of them cannot.
#include "dkm/shard.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "comm/learners.h"

namespace tierlib::dkm {
namespace {

using autograd::Launcher;
using autograd::Tensor;
using autograd::TestDevice;
using comm::Communicator;

constexpr std::int64_t kElements = std::int64_t{4} << 20;  // 16 MiB, a quarter of the device

bool Names(const Status& status, const std::string& words) {
  return std::string(status.message()).find(words) != std::string::npos;
}

// A learner with two stored tensors of one size, full of 1 and full of 2.
class Learner {
 public:
  explicit Learner(Communicator& me) : launcher_(device_.context(), "test", /*backward=*/true) {
    for (const float value : {1.0f, 2.0f}) {
      const Tensor whole =
          device_.Make(DType::kF32, {kElements}, std::vector<float>(static_cast<std::size_t>(kElements), value));
      stored_.push_back(StoredTensor::Store(launcher_, whole, {.learners = &me}, "stored").value());
    }
  }

  TestDevice& device() { return device_; }
  StatusOr<Tensor> Load(std::size_t which) { return stored_[which].Load(launcher_); }

 private:
  TestDevice device_;
  Launcher launcher_;
  std::vector<StoredTensor> stored_;
};

TEST(StoredTensor, ComesBackWhole) {
  comm::RunLearners<int>(2, comm::kLongNs, [](std::unique_ptr<Communicator>& me) {
    Learner learner(*me);
    for (const std::size_t which : {1, 0}) {
      const StatusOr<Tensor> whole = learner.Load(which);
      EXPECT_TRUE(whole.ok()) << whole.status();
      if (!whole.ok()) return 0;
      const std::vector<float> expected(static_cast<std::size_t>(kElements), static_cast<float>(which + 1));
      EXPECT_EQ(autograd::Read<float>(*whole), expected);
    }
    return 0;
  });
}

// Both have the same bytes by learner: without a tag each would get halves of two tensors.
TEST(StoredTensor, IsNotGatheredWithAnother) {
  const auto statuses = comm::RunLearners<Status>(2, comm::kLongNs, [](std::unique_ptr<Communicator>& me) {
    Learner learner(*me);
    return learner.Load(me->rank() == 0 ? 0 : 1).status();
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(Names(status, "u8 tagged 2 where learner 0 calls")) << status;
    EXPECT_TRUE(Names(status, "u8 tagged 1:")) << status;
  }
}

// No room for the whole on one learner, before its gather: the others do not wait for it, nor does its next try meet
// their gather of another tensor.
TEST(StoredTensor, ThatCannotBeLoadedBreaksTheGroup) {
  const auto statuses = comm::RunLearners<Status>(2, comm::kLongNs, [](std::unique_ptr<Communicator>& me) {
    Learner learner(*me);
    if (me->rank() == 0) return learner.Load(1).status();
    std::optional<Tensor> all = Tensor::Empty(learner.device().context(), DType::kU8, {std::int64_t{56} << 20},
                                              Holds::kPersistent, "what fills the device")
                                    .value();
    const Status first = learner.Load(1).status();
    EXPECT_EQ(first.code(), StatusCode::kResourceExhausted) << first;
    all.reset();
    return learner.Load(0).status();
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
    EXPECT_TRUE(Names(status, "learner 1 gave up: ")) << status;
  }
}

}  // namespace
}  // namespace tierlib::dkm
