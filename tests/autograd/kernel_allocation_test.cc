// Kernels allocate nothing: what they need beside their operands comes from the device pool.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "allocator/emulated/kernel_scope.h"
#include "allocator/kernel_allocations.h"
#include "autograd/models.h"
#include "autograd/op_cases.h"

namespace tierlib::autograd {
namespace {

TEST(KernelAllocations, AreCountedHere) {
  const std::uint64_t before = EmulatedKernelAllocations();
  {
    const emulated::KernelScope scope;
    ::operator delete(::operator new(1));  // a new-expression might be optimised away
  }
  ::operator delete(::operator new(2));
  EXPECT_EQ(EmulatedKernelAllocations(), before + 1);
}

TEST(KernelAllocations, AreNoneInAnyOp) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
    for (const OpCase& op_case : OpCases()) {
      for (const Shape shape : Shapes()) {
        TestDevice device;
        Random random(1);
        std::vector<Parameter> parameters(op_case.inputs.size());
        Tape tape(device.context());
        std::vector<Value> inputs;
        for (std::size_t i = 0; i < parameters.size(); ++i) {
          const Dims sizes = ParameterSizes(shape, op_case.inputs[i].sizes);
          parameters[i].name = "p";
          parameters[i].value = Tensor::Zeros(device.context(), dtype, sizes, Holds::kPersistent, "p").value();
          inputs.push_back(Shaped(shape, tape.Leaf(parameters[i]), op_case.inputs[i].sizes));
        }
        const std::uint64_t before = EmulatedKernelAllocations();
        const Value y = op_case.run(tape, inputs);
        ASSERT_TRUE(y.defined()) << op_case.name << ": " << tape.status();
        const Status status = tape.Backward(y);
        ASSERT_TRUE(status.ok()) << op_case.name << ": " << status;
        ASSERT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
        EXPECT_EQ(EmulatedKernelAllocations(), before)
            << op_case.name << " " << ShapeName(shape) << " " << DTypeName(dtype);
      }
    }
  }
}

TEST(KernelAllocations, AreNoneInTraining) {
  const std::uint64_t before = EmulatedKernelAllocations();
  ModelOptions model;
  EXPECT_TRUE(TrainGpt(SmallOptions(), model, 2).status.ok());
  model.form = AttentionForm::kComposed;
  model.dtype = DType::kF16;
  EXPECT_TRUE(TrainGpt(SmallOptions(), model, 2).status.ok());
  EXPECT_EQ(EmulatedKernelAllocations(), before);
}

}  // namespace
}  // namespace tierlib::autograd
