// The attention kernels for CUDA, run on the host, against the host's kernels in float64; and their product of tiles.
#include <gtest/gtest.h>

#include <string>

#include "autograd/cuda_problem.h"

namespace tierlib::autograd::cuda {
namespace {

using host::AttentionShape;
using host::AttentionSource;
using host::AttentionTarget;
using host::kFloatTypes;

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kHeads = 2;

// One of the three parts of a [B, T, 3, H, D] buffer, or of a [B, T, 1, H, D] one.
AttentionSource Part(TestTensor& x, int parts, int part, std::int64_t length, std::int64_t size) {
  const std::int64_t row = parts * kHeads * size;
  return {static_cast<std::byte*>(x.data()) + static_cast<std::size_t>(part * kHeads * size) * ElementBytes(x.dtype()),
          length * row, size, row};
}
AttentionTarget PartOf(TestTensor& x, int parts, int part, std::int64_t length, std::int64_t size) {
  const AttentionSource s = Part(x, parts, part, length, size);
  return {const_cast<void*>(s.data), s.batch_stride, s.head_stride, s.row_stride};
}

struct Case {
  std::int64_t length;
  std::int64_t size;
  double dropout;
  int shared_bytes;
  std::int64_t shift;  // 0: rows can be read by packs
};
// Tiles of 64, 32 and 16 rows; several tiles and ends of tiles; sizes that are no multiple of the unit.
const Case kCases[] = {
    {70, 32, 0, 227 * 1024, 0}, {70, 20, 0.25, 227 * 1024, 1}, {50, 16, 0.25, 48 * 1024, 0},
    {37, 40, 0, 32 * 1024, 1},  {1, 8, 0, 48 * 1024, 0},
};

AttentionShape ShapeOf(const Case& c, DType dtype) {
  AttentionShape shape;
  shape.dtype = dtype;
  shape.batch = kBatch;
  shape.heads = kHeads;
  shape.length = c.length;
  shape.head_size = c.size;
  shape.scale = 0.3;
  shape.dropout = c.dropout;
  shape.seed = 5;
  shape.counter = 9;
  return shape;
}

TestTensor Uniform(std::uint64_t seed, DType dtype, const Dims& sizes, std::int64_t shift) {
  Random random(seed);
  TestTensor x(dtype, sizes, shift);
  x.FillUniform(random);
  return x;
}

// Of scores, which are sums of products in the compute type, and what follows from them.
double OfForward(DType dtype) { return ElementBytes(dtype) == 2 ? 6 : 32; }
double OfBackward(DType dtype) { return ElementBytes(dtype) == 2 ? 12 : 64; }

// In 16 bits the probabilities are rounded before they are multiplied, and so are their gradients.
TEST(CudaAttention, ForwardAndBackward) {
  for (const DType dtype : kFloatTypes) {
    for (const Case& c : kCases) {
      const bool long_one = c.length == 70;
      if (long_one && (TIERLIB_RANDOM_SCALE > 1 || dtype == DType::kF64 || dtype == DType::kF16)) continue;
      const DeviceLimits limits{4, dtype == DType::kF64 ? 2 * c.shared_bytes : c.shared_bytes};
      const std::string name = std::to_string(c.length) + " x " + std::to_string(c.size);
      const Dims packed = {kBatch, c.length, 3, kHeads, c.size};
      const Dims plain = {kBatch, c.length, 1, kHeads, c.size};
      const TestTensor qkv = Uniform(50, dtype, packed, c.shift);
      const TestTensor dout = Uniform(51, dtype, plain, c.shift);
      const DType statistic = host::ComputeType(dtype);
      const auto forward = [&](Tensors& in, Tensors& out) {
        return host::AttentionForwardArguments{.shape = ShapeOf(c, in[0].dtype()),
                                               .q = Part(in[0], 3, 0, c.length, c.size),
                                               .k = Part(in[0], 3, 1, c.length, c.size),
                                               .v = Part(in[0], 3, 2, c.length, c.size),
                                               .out = PartOf(out[0], 1, 0, c.length, c.size),
                                               .log_sum_exp = out[1].data()};
      };
      const Tensors results = {TestTensor(dtype, plain, c.shift), TestTensor(statistic, {kBatch, kHeads, c.length}, 0)};
      Compare("attention " + name, {qkv}, results, forward, host::AttentionForward, OfForward(dtype), limits);
      // Backward from the device's own output and statistics.
      Tensors out = results;
      Tensors in = {qkv};
      RunOn(SequentialGrid(limits), forward(in, out));
      Scratch scratch;
      Compare(
          "attention gradient " + name, {qkv, out[0], out[1], dout}, {TestTensor(dtype, packed, c.shift)},
          [&](Tensors& from, Tensors& to) {
            const AttentionShape shape = ShapeOf(c, from[0].dtype());
            return host::AttentionBackwardArguments{
                .shape = shape,
                .q = Part(from[0], 3, 0, c.length, c.size),
                .k = Part(from[0], 3, 1, c.length, c.size),
                .v = Part(from[0], 3, 2, c.length, c.size),
                .out = Part(from[1], 1, 0, c.length, c.size),
                .log_sum_exp = from[2].data(),
                .dout = Part(from[3], 1, 0, c.length, c.size),
                .dq = PartOf(to[0], 3, 0, c.length, c.size),
                .dk = PartOf(to[0], 3, 1, c.length, c.size),
                .dv = PartOf(to[0], 3, 2, c.length, c.size),
                .workspace = scratch.Take(host::AttentionBackwardWorkspaceBytes(shape))};
          },
          host::AttentionBackward, OfBackward(dtype), limits);
    }
  }
}

TEST(CudaAttention, SaysWhatDoesNotFitIntoSharedMemory) {
  SequentialGrid grid({1, 48 * 1024});
  host::AttentionForwardArguments a;
  a.shape = ShapeOf({1, 256, 0, 0, 0}, DType::kF64);
  const Status status = cuda::Run(grid, a, nullptr);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_NE(std::string(status.message()).find("heads of 256 in f64"), std::string::npos) << status;
}

// What a tile keeps of a launch's memory does not grow with the length: no score matrix is stored.
TEST(CudaAttention, KeepsOneNumberForEachRow) {
  host::AttentionBackwardArguments a;
  a.shape = ShapeOf({4096, 64, 0, 0, 0}, DType::kBF16);
  EXPECT_EQ(KernelWorkspaceBytes(a), static_cast<std::size_t>(kBatch * kHeads * 4096) * sizeof(float));
  host::AttentionForwardArguments f;
  f.shape = a.shape;
  EXPECT_EQ(KernelWorkspaceBytes(f), 0u);
}

}  // namespace
}  // namespace tierlib::autograd::cuda
