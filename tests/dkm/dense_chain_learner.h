// One learner's forward and backward through a dense chain over 16-bit weights, and what that keeps.
#ifndef TIERLIB_TESTS_DKM_DENSE_CHAIN_LEARNER_H_
#define TIERLIB_TESTS_DKM_DENSE_CHAIN_LEARNER_H_

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

#include "autograd/test_device.h"
#include "base/random.h"
#include "dkm/dense_chain.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {

using ChainFunction = ChainResult (*)(const autograd::Value&, const autograd::Value&, const ChainOptions&);

struct LearnerRun {
  Status status;
  std::vector<std::uint8_t> output, centroids, weight_gradient;  // bits
  std::uint64_t moved = 0;                                       // bytes, of one forward pass
  std::uint64_t host_bytes = 0;  // held between the passes, before what is not the chain's
};

// Normal values as the upper halves of floats: bf16 bits.
inline std::vector<std::uint16_t> HalfNormals(std::uint64_t seed, std::size_t count, double scale) {
  Random random(seed);
  std::vector<std::uint16_t> bits(count);
  for (std::uint16_t& value : bits) {
    value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(scale * random.Normal())) >> 16);
  }
  return bits;
}

// A tensor of those in bf16, or exactly the same values in f32.
inline autograd::Tensor MakeHalf(autograd::TestDevice& device, DType dtype, const Dims& sizes,
                                 const std::vector<std::uint16_t>& bits, Holds holds = Holds::kTransient) {
  if (dtype == DType::kBF16) return device.Make(dtype, sizes, bits, holds);
  std::vector<std::uint32_t> wide(bits.begin(), bits.end());
  for (std::uint32_t& value : wide) value <<= 16;
  return device.Make(dtype, sizes, wide, holds);
}

struct LearnerCase {
  ChainFunction chain = ReferenceChain;
  ChainOptions chain_options;
  DType dtype = DType::kBF16;
  std::int64_t vectors = 600;
  std::int64_t dim = 1;
  Holds holds = Holds::kTransient;  // of w
};

// The gradient of sum(W~ * g) for weights and g that depend on the case's sizes alone.
inline LearnerRun RunLearner(const LearnerCase& one, const tierlib::Options& device_options) {
  autograd::TestDevice device(device_options);
  const auto values = static_cast<std::size_t>(one.vectors * one.dim);
  const Dims sizes{one.vectors, one.dim};
  autograd::Parameter w{"w", MakeHalf(device, one.dtype, sizes, HalfNormals(4, values, 0.02), one.holds), {}};
  const std::vector<std::uint16_t> start = HalfNormals(6, static_cast<std::size_t>(4 * one.dim), 0.02);
  autograd::Tape tape(device.context());
  const autograd::Value c = tape.Constant(MakeHalf(device, one.dtype, {4, one.dim}, start));
  const ChainResult result = one.chain(tape.Leaf(w), c, one.chain_options);
  LearnerRun run;
  if (!tape.status().ok()) return run.status = tape.status(), run;
  run.moved = device.runtime().statistics().total.moved;
  EXPECT_TRUE(device.runtime().Drain().ok());
  run.host_bytes = device.runtime().statistics().pinned.live;
  const autograd::Value g = tape.Constant(MakeHalf(device, one.dtype, sizes, HalfNormals(5, values, 1)));
  run.status = tape.Backward(Sum(Mul(result.output, g)));
  if (!run.status.ok()) return run;
  run.output = autograd::ReadBytes(result.output.tensor());
  run.centroids = autograd::ReadBytes(result.centroids.tensor());
  run.weight_gradient = autograd::ReadBytes(w.gradient);
  EXPECT_TRUE(device.runtime().health().ok()) << device.runtime().health();
  return run;
}

}  // namespace tierlib::dkm

#endif  // TIERLIB_TESTS_DKM_DENSE_CHAIN_LEARNER_H_
