// The kernels of DKM allocate nothing: what they need beside their operands comes from the device pool.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "allocator/emulated/kernel_scope.h"
#include "allocator/kernel_allocations.h"
#include "autograd/test_device.h"
#include "base/random.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

using autograd::Parameter;
using autograd::RandomValues;
using autograd::SmallOptions;
using autograd::Tape;
using autograd::Tensor;
using autograd::TestDevice;
using autograd::Value;

// Two steps of training and a palettisation; the number of allocations that kernels made. The weight takes more than
// two tiles of each kernel, so that all threads of the pool have work.
std::uint64_t AllocationsOf(const dkm::Options& options, DType dtype) {
  TestDevice device;
  Random random(3);
  const Dims sizes = {192, 192};
  const Tensor full = device.Make(DType::kF32, sizes, RandomValues<float>(random, sizes, -1, 1), Holds::kPersistent);
  Tape casts(device.context());
  casts.set_recording(false);
  Parameter weight{"w", Cast(casts.Constant(full), dtype).tensor(), {}};
  Clustering clustering("w", options);
  const std::uint64_t before = EmulatedKernelAllocations();
  for (int step = 0; step < 2; ++step) {
    weight.gradient = Tensor();
    Tape tape(device.context());
    const Value output = clustering.Apply(tape, tape.Leaf(weight));
    const Status status = tape.Backward(Sum(output));
    EXPECT_TRUE(status.ok()) << status;
    clustering.Advance();
  }
  const StatusOr<Tensor> hard = clustering.Palettize(device.context(), weight.value);
  EXPECT_TRUE(hard.ok()) << hard.status();
  EXPECT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
  return EmulatedKernelAllocations() - before;
}

TEST(DkmKernelAllocations, AreCountedHere) {
  const std::uint64_t before = EmulatedKernelAllocations();
  {
    const emulated::KernelScope scope;
    ::operator delete(::operator new(1));  // a new-expression might be optimised away
  }
  ::operator delete(::operator new(2));
  EXPECT_EQ(EmulatedKernelAllocations(), before + 1);
}

TEST(DkmKernelAllocations, AreNoneInTheTiledForm) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
        for (const int dim : {1, 2, 4}) {
          const dkm::Options options{.cluster_dim = dim, .metric = metric, .attention = attention};
          EXPECT_EQ(AllocationsOf(options, dtype), 0u) << DTypeName(dtype) << ", d " << dim;
        }
      }
    }
  }
}

TEST(DkmKernelAllocations, AreNoneInTheExactForm) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
      for (const Form form : {Form::kExact, Form::kTiled}) {  // which rounds in an op of its own
        dkm::Options options{.attention = attention, .form = form};
        if (dtype == DType::kF32) options.round_to = DType::kF16;
        EXPECT_EQ(AllocationsOf(options, dtype), 0u) << DTypeName(dtype);
      }
    }
  }
}

// Small groups side by side, and what only tiles with a floor run.
TEST(DkmKernelAllocations, AreNoneOfGroupsAndScales) {
  for (const Form form : {Form::kTiled, Form::kExact, Form::kReference}) {
    for (const std::int64_t group_rows : {0, 5}) {
      dkm::Options options{.bits = 2, .iterations = 2, .form = form};
      if (form != Form::kReference) options.round_to = DType::kBF16;
      options.group_rows = group_rows;
      options.per_channel_scale = ChannelScale::kAbs;
      options.attention_floor = 1e-7;
      options.prune_threshold = 1e-7;
      EXPECT_EQ(AllocationsOf(options, DType::kF32), 0u) << group_rows;
    }
  }
}

TEST(DkmKernelAllocations, AreNoneInTheDenseChains) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const Form form : {Form::kReference, Form::kPaper}) {
      for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
        const dkm::Options options{.bits = 2, .cluster_dim = 2, .iterations = 2, .metric = metric, .form = form};
        EXPECT_EQ(AllocationsOf(options, dtype), 0u) << DTypeName(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace tierlib::dkm
