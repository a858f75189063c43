// What all host kernels have in common: how they are given tensors, and what they promise.
//
// A kernel runs on the stream worker of an emulated device, later than the call that enqueued it. It touches only the
// memory its arguments name, allocates nothing (workspace is an argument; small tiles live on the stack, at most 512
// KiB), never waits and never fails: the op has checked shapes and dtypes. f32 and f64 compute in their own type, bf16
// and f16 in float32 with one rounding (to nearest even) when stored. Results are the same for any number of threads
// and any alignment.
//
// Inputs and outputs do not overlap unless a header says that they may.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_OPERAND_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_OPERAND_H_

#include "tierlib/view.h"

namespace tierlib::autograd::host {

// A strided tensor that a kernel reads. `data` is the address of element (0, ..., 0); layout.offset_bytes is not used.
struct Source {
  const void* data = nullptr;
  Layout layout;
};

// A strided tensor that a kernel writes; no stride is zero where the size exceeds 1.
struct Target {
  void* data = nullptr;
  Layout layout;
};

// Type in which values of `dtype` are computed and row statistics are kept: f64 for f64, otherwise f32.
constexpr DType ComputeType(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_OPERAND_H_
