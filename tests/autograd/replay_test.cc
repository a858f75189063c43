// A replay by one kernel: on which streams it may run.
#include "autograd/replay.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// Asks for a replay that copies two floats, on `stream`; `also`: it reads another tensor too.
Status AskOn(TestDevice& device, Stream stream, bool also) {
  const Tensor from = device.Make<float>(DType::kF32, {2}, {3, 4});
  const Tensor to = device.Make<float>(DType::kF32, {2}, {0, 0});
  const Tensor other = device.Make<float>(DType::kF32, {1}, {1});
  const Replay replay = KernelReplay(
      device.context(), "test copy",
      [](KernelContext&, const host::Source& source, const host::Target& target) {
        std::memcpy(target.data, source.data, 2 * sizeof(float));
      },
      also ? std::vector<Tensor>{other} : std::vector<Tensor>());
  EXPECT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
  const Status status = replay.function({to.data(), to.layout(), from.data(), from.layout(), stream});
  EXPECT_TRUE(device.runtime().Synchronize(stream).ok());
  EXPECT_EQ(Read<float>(to), status.ok() ? std::vector<float>({3, 4}) : std::vector<float>({0, 0}));
  return status;
}

TEST(KernelReplay, ReadsOtherTensorsOnTheirStreamOnly) {
  TestDevice device;
  const Stream home = device.context().stream();
  const Stream elsewhere = device.runtime().CreateStream(0, "elsewhere").value();
  EXPECT_TRUE(AskOn(device, home, /*also=*/true).ok());
  EXPECT_TRUE(AskOn(device, home, /*also=*/false).ok());
  EXPECT_TRUE(AskOn(device, elsewhere, /*also=*/false).ok());
  const Status status = AskOn(device, elsewhere, /*also=*/true);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(status.message()).find("replay test copy reads tensors"), std::string::npos) << status;
}

// The gradient of sum(f32(x)^2) + sum(x^2) by the bf16 leaf that x is made of. The wide value is saved first, and the
// narrow one can be had back from it.
std::vector<std::uint8_t> GradientOfBoth(OffloadMode mode, Ledger* ledger) {
  Options options = SmallOptions();
  options.mode = mode;
  options.devices[0].spare_bytes = 0;
  TestDevice device(options);
  std::vector<std::uint16_t> bits(4096);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(0x3f00 + i % 256);  // 0.5 to 2
  Parameter leaf{"leaf", device.Make(DType::kBF16, {64, 64}, bits, Holds::kPersistent), {}};
  Tape tape(device.context());
  const auto forward = [&] {  // keeps no value in between
    const Value x = MulScalar(tape.Leaf(leaf), 3);
    const Value wide = Sum(Square(Cast(x, DType::kF32)));
    return Add(wide, Sum(Cast(Square(x), DType::kF32)));
  };
  const Value loss = forward();
  EXPECT_TRUE(tape.status().ok()) << tape.status();
  const Status status = tape.Backward(loss);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
  *ledger = device.runtime().statistics().total;
  return ReadBytes(leaf.gradient);
}

TEST(KernelReplay, ACastToAWiderTypeIsTakenBack) {
  Ledger without, with;
  const std::vector<std::uint8_t> expected = GradientOfBoth(OffloadMode::kOff, &without);
  EXPECT_EQ(GradientOfBoth(OffloadMode::kMarshal, &with), expected);
  EXPECT_EQ(with.moved, 4096 * sizeof(float)) << "the wide value alone";
  EXPECT_EQ(with.avoided_lineage, 4096 * sizeof(std::uint16_t));
  EXPECT_EQ(with.replayed, 4096 * sizeof(std::uint16_t));
  EXPECT_EQ(with.freed_made_again, 4096 * sizeof(std::uint16_t));
}

}  // namespace
}  // namespace tierlib::autograd
