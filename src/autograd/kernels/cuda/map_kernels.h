// Elementwise kernels over operands of any layout: by packs of 16 bytes where all operands are of one dtype and lie
// side by side in runs that packs fit into (or repeat one element there), otherwise element by element.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_MAP_KERNELS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_MAP_KERNELS_H_

#include <cstdint>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/strided_plan.h"
#include "base/cuda/grid.h"

namespace tierlib::autograd::cuda {

// What both kernels have.
template <class Formula>
struct MapKernel : PlainKernel {
  static constexpr int kInputs = Formula::kInputs;
  static constexpr int kOperands = kInputs + 1;

  StridedPlan plan;
  Formula formula;
  void* y = nullptr;
  DType y_dtype = DType::kF32;
  const void* x[StridedPlan::kMostOperands] = {};
  DType x_dtype[StridedPlan::kMostOperands] = {};
  int blocks = 0;
};

// A thread takes one pack of y after the other. REQUIRES: PacksFit.
template <class Format, class Formula>
struct MapPacks : MapKernel<Formula> {
  using Bits = typename Format::Bits;
  using T = typename Format::Compute;
  using Base = MapKernel<Formula>;
  using Shared = PlainKernel::Shared;
  static constexpr int kPack = 16 / sizeof(Bits);
  static constexpr int kInputs = Base::kInputs;

  // What a pack of input i is; `at` is its first element.
  TIERLIB_HOST_DEVICE void LoadPack(int i, std::int64_t at, T (*in)[StridedPlan::kMostOperands]) const {
    const Bits* const from = static_cast<const Bits*>(this->x[i]) + at;
    if (this->plan.inner_stride(i + 1) == 0) {
      const T value = Format::Load(*from);
      for (int e = 0; e < kPack; ++e) in[e][i] = value;
      return;
    }
    const auto pack = *reinterpret_cast<const Pack<Bits, kPack>*>(from);
    for (int e = 0; e < kPack; ++e) in[e][i] = Format::Load(pack.elements[e]);
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t packs = this->plan.elements / kPack;
    const std::int64_t step = std::int64_t{this->blocks} * PlainKernel::kThreads;
    for (std::int64_t p = std::int64_t{block} * PlainKernel::kThreads + thread; p < packs; p += step) {
      std::int64_t at[Base::kOperands];
      this->plan.template Locate<Base::kOperands>(p * kPack, at);
      T in[kPack][StridedPlan::kMostOperands];
      for (int i = 0; i < kInputs; ++i) LoadPack(i, at[i + 1], in);
      Pack<Bits, kPack> out;
      for (int e = 0; e < kPack; ++e) out.elements[e] = Format::Store(this->formula(in[e]));
      *reinterpret_cast<Pack<Bits, kPack>*>(static_cast<Bits*>(this->y) + at[0]) = out;
    }
  }
};

// How elements of any float types are read and written in arithmetic of T.
template <typename T>
struct AnyFloat {
  using Compute = T;
  TIERLIB_HOST_DEVICE static T Get(DType dtype, const void* data, std::int64_t i) { return Read<T>(dtype, data, i); }
  TIERLIB_HOST_DEVICE static void Put(DType dtype, void* data, std::int64_t i, T value) {
    Write(dtype, data, i, value);
  }
};
template <typename Bits>
struct AnyBits {
  using Compute = Bits;
  TIERLIB_HOST_DEVICE static Bits Get(DType, const void* data, std::int64_t i) {
    return static_cast<const Bits*>(data)[i];
  }
  TIERLIB_HOST_DEVICE static void Put(DType, void* data, std::int64_t i, Bits value) {
    static_cast<Bits*>(data)[i] = value;
  }
};

// A thread takes one element of y after the other.
template <class Access, class Formula>
struct MapElements : MapKernel<Formula> {
  using T = typename Access::Compute;
  using Base = MapKernel<Formula>;
  using Shared = PlainKernel::Shared;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{this->blocks} * PlainKernel::kThreads;
    for (std::int64_t e = std::int64_t{block} * PlainKernel::kThreads + thread; e < this->plan.elements; e += step) {
      std::int64_t at[Base::kOperands];
      this->plan.template Locate<Base::kOperands>(e, at);
      T in[StridedPlan::kMostOperands] = {};
      for (int i = 0; i < Base::kInputs; ++i) in[i] = Access::Get(this->x_dtype[i], this->x[i], at[i + 1]);
      Access::Put(this->y_dtype, this->y, at[0], this->formula(in));
    }
  }
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_MAP_KERNELS_H_
