// What elementwise kernels compute from one element of each input: host/lanes_elementwise.cc, whose functions are the
// reference. Which operation it is, is known at launch only: the choice is the same for all threads, and costs nothing
// beside the memory.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_FORMULAS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_FORMULAS_H_

#include "autograd/kernels/activation.h"
#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/elementwise.h"

namespace tierlib::autograd::cuda {

struct FillFormula {
  static constexpr int kInputs = 0;
  double value = 0;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T*) const {
    return static_cast<T>(value);
  }
};

struct CopyFormula {
  static constexpr int kInputs = 1;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* x) const {
    return x[0];
  }
};

struct RoundFormula {
  static constexpr int kInputs = 1;
  DType narrow = DType::kBF16;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    const auto x = static_cast<float>(in[0]);
    return static_cast<T>(narrow == DType::kBF16 ? BF16::Load(BF16::Store(x)) : F16::Load(F16::Store(x)));
  }
};

struct UnaryFormula {
  static constexpr int kInputs = 1;
  host::UnaryOp op = host::UnaryOp::kAddScalar;
  double c0 = 0;
  double c1 = 0;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    const T x = in[0];
    const T first = static_cast<T>(c0);
    const T second = static_cast<T>(c1);
    switch (op) {
      case host::UnaryOp::kAddScalar: return x + first;
      case host::UnaryOp::kMulScalar: return x * first;
      case host::UnaryOp::kSquare: return x * x;
      case host::UnaryOp::kSqrt: return Root(x);
      case host::UnaryOp::kExp: return Exp(x);
      case host::UnaryOp::kLog: return Log(x);
      case host::UnaryOp::kClamp: {
        const T raised = x < first ? first : x;  // false for NaN
        return raised > second ? second : raised;
      }
    }
    return x;
  }
};

struct BinaryFormula {
  static constexpr int kInputs = 2;
  host::BinaryOp op = host::BinaryOp::kAdd;
  double c0 = 0;
  double c1 = 0;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    const T a = in[0];
    const T b = in[1];
    switch (op) {
      case host::BinaryOp::kAdd: return a + b;
      case host::BinaryOp::kSub: return a - b;
      case host::BinaryOp::kMul: return a * b;
      case host::BinaryOp::kDiv: return a / b;
      case host::BinaryOp::kSquareGradient: return (a + a) * b;
      case host::BinaryOp::kSqrtGradient: return b == 0 ? T{0} : a / (b + b);
      case host::BinaryOp::kClampGradient: return b >= static_cast<T>(c0) && b <= static_cast<T>(c1) ? a : T{0};
    }
    return a;
  }
};

struct DivisorGradientFormula {
  static constexpr int kInputs = 3;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    return -in[0] * (in[1] / in[2]) / in[2];
  }
};

struct MaskedFillFormula {
  static constexpr int kInputs = 2;
  double fill = 0;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    return in[1] != 0 ? static_cast<T>(fill) : in[0];
  }
};

struct ActivationFormula {
  static constexpr int kInputs = 1;
  host::Activation activation = host::Activation::kGelu;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    const T x = in[0];
    if (activation == host::Activation::kSilu) return x / (1 + Exp(-x));
    return x * (static_cast<T>(0.5) * (1 + Erf(x * static_cast<T>(0.70710678118654752440))));
  }
};

// Of dy and x. With Phi the normal distribution and phi its density, GELU' = Phi(x) + x phi(x); with s = 1 / (1 +
// exp(-x)), SiLU' = s (1 + x (1 - s)).
struct ActivationGradientFormula {
  static constexpr int kInputs = 2;
  host::Activation activation = host::Activation::kGelu;
  template <typename T>
  TIERLIB_HOST_DEVICE T operator()(const T* in) const {
    const T x = in[1];
    if (activation == host::Activation::kSilu) {
      const T s = 1 / (1 + Exp(-x));
      return in[0] * (s * (1 + x * (1 - s)));
    }
    const T below = static_cast<T>(0.5) * (1 + Erf(x * static_cast<T>(0.70710678118654752440)));
    const T density = static_cast<T>(0.39894228040143267794) * Exp(static_cast<T>(-0.5) * x * x);
    return in[0] * (below + x * density);
  }
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_FORMULAS_H_
