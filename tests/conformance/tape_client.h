// TapeClient: the client of the conformance tests that has an autograd, tierlib's own. It makes leaves whose values
// depend on their order alone, and notes the bits of what a program computes.
//
// Thread-safety: one thread per client; several clients may share a runtime.
#ifndef TIERLIB_TESTS_CONFORMANCE_TAPE_CLIENT_H_
#define TIERLIB_TESTS_CONFORMANCE_TAPE_CLIENT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/test_device.h"
#include "conformance/setting.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::autograd {

class TapeClient {
 public:
  // `settles`: Then and Settle wait until every copy has ended. REQUIRES: the runtime outlives the client.
  explicit TapeClient(Runtime& runtime, int device = 0, bool settles = false)
      : runtime_(runtime), settles_(settles), context_(Context::Create(runtime, device).value()) {}

  Runtime& runtime() { return runtime_; }
  Context& context() { return *context_; }
  const std::vector<Bytes>& bits() const { return bits_; }

  // Transient, so that what ops save of it may move; lives until DropLeaves.
  Parameter& Leaf(const Dims& sizes) {
    const std::vector<float> values = RandomValues<float>(random_, sizes, -1, 1);
    Parameter& leaf = leaves_.emplace_back();
    leaf.name = "leaf" + std::to_string(leaves_.size());
    leaf.value = Tensor::FromHost(*context_, DType::kF32, sizes, values.data(), Holds::kTransient, leaf.name).value();
    return leaf;
  }
  void DropLeaves() { leaves_.clear(); }

  // The value of an op, once what the op saved is where it goes in this setting.
  Value Then(Value value) {
    Settle();
    return value;
  }
  // What fails here is told by the calls that need the copies.
  void Settle() {
    if (settles_) (void)runtime_.Drain();
  }
  // Takes free memory of the device and gives it back overwritten: nothing that is still needed may be there.
  void Overwrite(std::int64_t elements) {
    const std::vector<float> noise(static_cast<std::size_t>(elements), -1e30F);
    EXPECT_TRUE(Tensor::FromHost(*context_, DType::kF32, {elements}, noise.data(), Holds::kTransient, "noise").ok());
  }

  void Note(const Tensor& tensor) {
    ASSERT_TRUE(tensor.defined());
    bits_.push_back(ReadBytes(tensor));
  }
  // A pass, and the gradients of all leaves after it.
  void Backward(Tape& tape, const Value& loss, bool retain = false) {
    const Status status = tape.Backward(loss, retain);
    ASSERT_TRUE(status.ok()) << status;
    for (const Parameter& leaf : leaves_) {
      if (leaf.gradient.defined()) Note(leaf.gradient);
    }
  }

 private:
  Runtime& runtime_;
  const bool settles_;
  const std::unique_ptr<Context> context_;
  Random random_{5};
  std::deque<Parameter> leaves_;  // tapes know them by address
  std::vector<Bytes> bits_;
};

// No tier holds anything any more.
inline void ExpectNothingHeld(Runtime& runtime) {
  ASSERT_TRUE(runtime.Drain().ok());
  const Statistics statistics = runtime.statistics();
  EXPECT_EQ(statistics.device.live, 0u);
  EXPECT_EQ(statistics.pinned.live, 0u);
  EXPECT_EQ(statistics.pageable.live, 0u);
  EXPECT_TRUE(runtime.health().ok()) << runtime.health();
}

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_CONFORMANCE_TAPE_CLIENT_H_
