// Kernels allocate nothing: what they need beside their operands comes from the device pool. operator new is replaced
// in this program to count calls from threads that run an emulated kernel.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "allocator/emulated/kernel_scope.h"
#include "autograd/models.h"
#include "autograd/op_cases.h"

namespace {

std::atomic<int> allocations_in_kernels{0};

void* Allocate(std::size_t bytes) {
  if (tierlib::emulated::KernelScope::Active()) allocations_in_kernels.fetch_add(1);
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return Allocate(bytes); }
void* operator new[](std::size_t bytes) { return Allocate(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return Allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace tierlib::autograd {
namespace {

TEST(KernelAllocations, AreCountedHere) {
  const int before = allocations_in_kernels.load();
  {
    const emulated::KernelScope scope;
    ::operator delete(::operator new(1));  // a new-expression might be optimised away
  }
  ::operator delete(::operator new(2));
  EXPECT_EQ(allocations_in_kernels.load(), before + 1);
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
        const int before = allocations_in_kernels.load();
        const Value y = op_case.run(tape, inputs);
        ASSERT_TRUE(y.defined()) << op_case.name << ": " << tape.status();
        const Status status = tape.Backward(y);
        ASSERT_TRUE(status.ok()) << op_case.name << ": " << status;
        ASSERT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
        EXPECT_EQ(allocations_in_kernels.load(), before)
            << op_case.name << " " << ShapeName(shape) << " " << DTypeName(dtype);
      }
    }
  }
}

TEST(KernelAllocations, AreNoneInTraining) {
  const int before = allocations_in_kernels.load();
  ModelOptions model;
  EXPECT_TRUE(TrainGpt(SmallOptions(), model, 2).status.ok());
  model.form = AttentionForm::kComposed;
  model.dtype = DType::kF16;
  EXPECT_TRUE(TrainGpt(SmallOptions(), model, 2).status.ok());
  EXPECT_EQ(allocations_in_kernels.load(), before);
}

}  // namespace
}  // namespace tierlib::autograd
