// What stands between Op::Save and the runtime: when a codec is asked, and for how long it is held to what it keeps.
#include "autograd/saved_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// Keeps tensors as they are, where it is told to, and counts.
class CountingCodec : public SavedCodec {
 public:
  struct Kept : EncodedValue {
    Kept(Tensor value, CountingCodec& codec) : tensor(std::move(value)), owner(codec) { ++owner.alive; }
    ~Kept() override { --owner.alive; }
    StatusOr<Tensor> Decode(const Launcher&) const override {
      ++owner.decoded;
      if (!owner.decode_status.ok()) return owner.decode_status;
      return tensor;
    }
    Tensor tensor;
    CountingCodec& owner;
  };

  StatusOr<std::shared_ptr<const EncodedValue>> Encode(const Launcher&, const Tensor& tensor,
                                                       std::string_view label) override {
    asked.emplace_back(label);
    if (!encode_status.ok()) return encode_status;
    if (declines) return std::shared_ptr<const EncodedValue>();
    return std::shared_ptr<const EncodedValue>(std::make_shared<Kept>(tensor, *this));
  }
  void NoteDerived(const Tensor&, const Tensor&, const Replay& replay) override { derived.emplace_back(replay.name); }

  bool declines = false;
  Status encode_status, decode_status;
  std::vector<std::string> asked, derived;
  int alive = 0;
  int decoded = 0;
};

class SavedCodecTest : public testing::Test {
 protected:
  SavedCodecTest() : x_{"x", device_.Make<float>(DType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6}), {}} {}

  std::uint64_t packs() { return device_.runtime().statistics().total.packs; }

  TestDevice device_;
  CountingCodec codec_;
  Parameter x_;
};

TEST_F(SavedCodecTest, StandsInForTheRuntimeWhileItsScopeLives) {
  Tape tape(device_.context());
  Value y;
  {
    const SavedCodecScope keep_by(tape, &codec_);
    y = Clamp(Transpose(Square(tape.Leaf(x_))), 0, 20);
    const SavedCodecScope nothing(tape, nullptr);
    y = Square(y);
  }
  EXPECT_EQ(codec_.asked, (std::vector<std::string>{"square.input", "clamp.input", "square.input"}));
  EXPECT_EQ(codec_.derived, std::vector<std::string>{"clamp"});
  EXPECT_EQ(codec_.alive, 3);
  EXPECT_EQ(packs(), 0u);
  const Value loss = Sum(Square(y));
  EXPECT_EQ(packs(), 1u) << "saved outside the scope";
  ASSERT_TRUE(tape.Backward(loss).ok());
  EXPECT_EQ(codec_.decoded, 3);
  EXPECT_EQ(codec_.alive, 0);
  // y = clamp(x^2, 0, 20)^4: 8 x^7 up to 4, and 0 where it was clamped.
  EXPECT_EQ(Read<float>(x_.gradient), (std::vector<float>{8, 1024, 17496, 131072, 0, 0}));
}

TEST_F(SavedCodecTest, MayDecline) {
  codec_.declines = true;
  Tape tape(device_.context());
  const SavedCodecScope keep_by(tape, &codec_);
  const Value loss = Sum(Square(tape.Leaf(x_)));
  EXPECT_EQ(codec_.asked.size(), 1u);
  EXPECT_EQ(packs(), 1u);
  EXPECT_TRUE(tape.Backward(loss).ok());
  EXPECT_EQ(Read<float>(x_.gradient), (std::vector<float>{2, 4, 6, 8, 10, 12}));
}

TEST_F(SavedCodecTest, IsAskedOnlyForWhatBackwardNeeds) {
  Tape tape(device_.context());
  const SavedCodecScope keep_by(tape, &codec_);
  Square(tape.Constant(x_.value));
  tape.set_recording(false);
  Clamp(Square(tape.Leaf(x_)), 0, 1);
  EXPECT_TRUE(codec_.asked.empty() && codec_.derived.empty());
}

TEST_F(SavedCodecTest, KeepsForAsLongAsTheTapeDoes) {
  Tape tape(device_.context());
  const SavedCodecScope keep_by(tape, &codec_);
  const Value loss = Sum(Square(tape.Leaf(x_)));
  ASSERT_TRUE(tape.Backward(loss, /*retain=*/true).ok());
  ASSERT_TRUE(tape.Backward(loss, /*retain=*/true).ok());
  EXPECT_EQ(codec_.decoded, 2);
  EXPECT_EQ(codec_.alive, 1);
  EXPECT_EQ(Read<float>(x_.gradient), (std::vector<float>{4, 8, 12, 16, 20, 24}));
  tape.Clear();
  EXPECT_EQ(codec_.alive, 0);
}

TEST_F(SavedCodecTest, ItsErrorsAreThoseOfTheOp) {
  codec_.encode_status = DataLossError("no");
  Tape tape(device_.context());
  const SavedCodecScope keep_by(tape, &codec_);
  EXPECT_FALSE(Square(tape.Leaf(x_)).defined());
  EXPECT_EQ(tape.status(), DataLossError("square: no"));
  tape.Clear();
  codec_.encode_status = OkStatus();
  codec_.decode_status = UnavailableError("gone");
  EXPECT_EQ(tape.Backward(Sum(Square(tape.Leaf(x_)))), UnavailableError("square (backward): gone"));
}

}  // namespace
}  // namespace tierlib::autograd
