// The AdamW update of all parameters in one launch (and the ones that bring their list: tensor_list.h), the joint norm
// of all gradients, and their scaling. Reference: host/adamw.cc, host/gradient_norm.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_UPDATE_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_UPDATE_LAUNCHES_H_

#include <math.h>

#include <cstddef>
#include <cstdint>

#include "autograd/kernels/adamw.h"
#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/sums.h"
#include "autograd/kernels/cuda/tensor_list.h"
#include "autograd/kernels/gradient_norm.h"

namespace tierlib::autograd::cuda {

// What all elements have in common: kernels/adamw.h.
struct AdamWFactors {
  double learning_rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  double step = 0;             // learning_rate / (1 - beta1^t)
  double root_correction = 1;  // sqrt(1 - beta2^t)
  double epsilon = 0;

  static AdamWFactors Of(const host::AdamWArguments& a) {
    const auto t = static_cast<double>(a.step);
    return {a.learning_rate, a.beta1, a.beta2, a.learning_rate / (1 - ::pow(a.beta1, t)), ::sqrt(1 - ::pow(a.beta2, t)),
            a.epsilon};
  }

  template <typename T>
  TIERLIB_HOST_DEVICE void Update(const host::AdamWTensor& p, std::int64_t i) const {
    T* const master = static_cast<T*>(p.master);
    T& avg = static_cast<T*>(p.exp_avg)[i];
    T& avg_sq = static_cast<T*>(p.exp_avg_sq)[i];
    const T gradient = Read<T>(p.dtype, p.gradient, i);
    const T value = master != nullptr ? master[i] : Read<T>(p.dtype, p.value, i);
    const T new_avg = static_cast<T>(beta1) * avg + static_cast<T>(1 - beta1) * gradient;
    const T new_avg_sq = static_cast<T>(beta2) * avg_sq + static_cast<T>(1 - beta2) * gradient * gradient;
    avg = new_avg;
    avg_sq = new_avg_sq;
    const T denominator = Root(new_avg_sq) / static_cast<T>(root_correction) + static_cast<T>(epsilon);
    const T keep = static_cast<T>(1 - learning_rate * p.weight_decay);
    const T updated = value * keep - static_cast<T>(step) * (new_avg / denominator);
    if (master != nullptr) master[i] = updated;
    Write(p.dtype, p.value, i, updated);
  }
};

struct AdamWKernel : PlainKernel {
  TensorList<host::AdamWTensor> list;
  AdamWFactors factors;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    list.ForEach(block, thread, [&](const host::AdamWTensor& p, std::int64_t i) {
      p.dtype == DType::kF64 ? factors.Update<double>(p, i) : factors.Update<float>(p, i);
    });
  }
};

inline std::size_t WorkspaceBytes(const host::AdamWArguments& a) { return TensorListBytes(a.tensors); }

template <class Grid>
Status Run(Grid& grid, const host::AdamWArguments& a, void* workspace) {
  AdamWKernel kernel;
  TIERLIB_ASSIGN_OR_RETURN(kernel.list, PutTensorList(grid, a.tensors, workspace));
  if (kernel.list.count == 0) return OkStatus();
  kernel.factors = AdamWFactors::Of(a);
  return grid.Run(kernel, static_cast<int>(AllBlocks(a.tensors)));
}

// sums[block]: of the squares of the block's elements.
struct SquaresKernel {
  using Rows = RowKernel<PlainKernel::kThreads>;
  using Shared = Rows::Shared;
  static constexpr int kThreads = Rows::kThreads;
  static constexpr int kStartPhases = 3;
  static constexpr int kRoundPhases = 0;
  static constexpr int kFinishPhases = 0;

  TensorList<host::GradientTensor> list;
  double* sums = nullptr;

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int) const { return 0; }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t, int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    if constexpr (kPhase == 0) {
      double sum = 0;
      list.ForEach(block, thread, [&](const host::GradientTensor& g, std::int64_t i) {
        const double value = Read<double>(g.dtype, g.data, i);
        sum += value * value;
      });
      shared->parts[0][thread] = sum;
    } else if constexpr (kPhase == 1) {
      Rows::Fold(shared, 0, thread, AddUp{});
    } else if (thread == 0) {
      sums[block] = Rows::All(shared, 0, thread, AddUp{});
    }
  }
};

struct SquaresTerm {
  static constexpr int kValues = 1;
  const double* squares = nullptr;
  TIERLIB_HOST_DEVICE void Add(std::int64_t block, std::int64_t, double* sums) const { *sums += squares[block]; }
};
struct NormResult {
  double* coefficient = nullptr;
  double max_norm = 1;
  TIERLIB_HOST_DEVICE void Put(std::int64_t, std::int64_t, int, double sum) const {
    const double norm = Root(sum);
    const double factor = max_norm / (norm + 1e-6);
    coefficient[0] = factor >= 1 ? 1 : factor;  // a NaN stays
    coefficient[1] = norm;
  }
};

// The list, and then the sums of blocks and of parts of them.
inline std::size_t WorkspaceBytes(const host::GradientNormArguments& a) {
  const std::int64_t blocks = AllBlocks(a.tensors);
  return TensorListBytes(a.tensors) + static_cast<std::size_t>(blocks) * sizeof(double) +
         SumParts::OfTerms(1, blocks).WorkspaceBytes(1);
}

template <class Grid>
Status Run(Grid& grid, const host::GradientNormArguments& a, void* workspace) {
  const std::int64_t blocks = AllBlocks(a.tensors);
  SquaresKernel kernel;
  TIERLIB_ASSIGN_OR_RETURN(kernel.list, PutTensorList(grid, a.tensors, workspace));
  kernel.sums = reinterpret_cast<double*>(static_cast<std::byte*>(workspace) + TensorListBytes(a.tensors));
  if (blocks > 0) TIERLIB_RETURN_IF_ERROR(grid.Run(kernel, static_cast<int>(blocks)));
  return RunTermSums(grid, SquaresTerm{kernel.sums}, NormResult{a.coefficient, a.max_norm},
                     SumParts::OfTerms(1, blocks), kernel.sums + blocks);
}

struct ScaleKernel : PlainKernel {
  TensorList<host::GradientTensor> list;
  const double* coefficient = nullptr;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const double factor = *coefficient;
    if (factor == 1) return;
    list.ForEach(block, thread, [&](const host::GradientTensor& g, std::int64_t i) {
      if (g.dtype == DType::kF64) {
        Write(g.dtype, g.data, i, Read<double>(g.dtype, g.data, i) * factor);
      } else {
        Write(g.dtype, g.data, i, Read<float>(g.dtype, g.data, i) * static_cast<float>(factor));
      }
    });
  }
};

inline std::size_t WorkspaceBytes(const host::ScaleGradientsArguments& a) { return TensorListBytes(a.tensors); }

template <class Grid>
Status Run(Grid& grid, const host::ScaleGradientsArguments& a, void* workspace) {
  ScaleKernel kernel;
  TIERLIB_ASSIGN_OR_RETURN(kernel.list, PutTensorList(grid, a.tensors, workspace));
  if (kernel.list.count == 0) return OkStatus();
  kernel.coefficient = a.coefficient;
  return grid.Run(kernel, static_cast<int>(AllBlocks(a.tensors)));
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_UPDATE_LAUNCHES_H_
