#include "autograd/kernels/host/lanes_elementwise.h"

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/host/lanes_elementwise.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {
namespace {

template <typename T>
struct AddScalarLanes {
  T c;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Add(x, hn::Set(d, c));
  }
};

template <typename T>
struct MulScalarLanes {
  T c;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(x, hn::Set(d, c));
  }
};

struct SquareLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return hn::Mul(x, x);
  }
};

struct SqrtLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return hn::Sqrt(x);
  }
};

struct ExpLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return SaturatingExp(d, x);
  }
};

template <typename T>
struct ClampLanes {
  T low;
  T high;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V vlow = hn::Set(d, low);
    const V vhigh = hn::Set(d, high);
    const V raised = hn::IfThenElse(hn::Lt(x, vlow), vlow, x);  // false for NaN
    return hn::IfThenElse(hn::Gt(raised, vhigh), vhigh, raised);
  }
};

template <typename T>
void UnaryRow(UnaryOp op, double c0, double c1, const T* x, T* y, std::size_t n) {
  switch (op) {
    case UnaryOp::kAddScalar: return Map(x, y, n, AddScalarLanes<T>{static_cast<T>(c0)});
    case UnaryOp::kMulScalar: return Map(x, y, n, MulScalarLanes<T>{static_cast<T>(c0)});
    case UnaryOp::kSquare: return Map(x, y, n, SquareLanes{});
    case UnaryOp::kSqrt: return Map(x, y, n, SqrtLanes{});
    case UnaryOp::kExp: return Map(x, y, n, ExpLanes{});
    case UnaryOp::kLog:
      for (std::size_t i = 0; i < n; ++i) y[i] = std::log(x[i]);
      return;
    case UnaryOp::kClamp: return Map(x, y, n, ClampLanes<T>{static_cast<T>(c0), static_cast<T>(c1)});
  }
}

struct AddLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::Add(a, b);
  }
};

struct SubLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::Sub(a, b);
  }
};

struct MulLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::Mul(a, b);
  }
};

struct DivLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V a, V b) const {
    return hn::Div(a, b);
  }
};

struct SquareGradientLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D, V gradient, V x) const {
    return hn::Mul(hn::Add(gradient, gradient), x);
  }
};

struct SqrtGradientLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V gradient, V y) const {
    const V quotient = hn::Div(gradient, hn::Add(y, y));
    return hn::IfThenElse(hn::Eq(y, hn::Zero(d)), hn::Zero(d), quotient);
  }
};

template <typename T>
struct ClampGradientLanes {
  T low;
  T high;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V gradient, V x) const {
    const auto inside = hn::And(hn::Ge(x, hn::Set(d, low)), hn::Le(x, hn::Set(d, high)));
    return hn::IfThenElseZero(inside, gradient);
  }
};

template <typename T>
void BinaryRow(BinaryOp op, double c0, double c1, const T* a, const T* b, T* y, std::size_t n) {
  switch (op) {
    case BinaryOp::kAdd: return Map(a, b, y, n, AddLanes{});
    case BinaryOp::kSub: return Map(a, b, y, n, SubLanes{});
    case BinaryOp::kMul: return Map(a, b, y, n, MulLanes{});
    case BinaryOp::kDiv: return Map(a, b, y, n, DivLanes{});
    case BinaryOp::kSquareGradient: return Map(a, b, y, n, SquareGradientLanes{});
    case BinaryOp::kSqrtGradient: return Map(a, b, y, n, SqrtGradientLanes{});
    case BinaryOp::kClampGradient:
      return Map(a, b, y, n, ClampGradientLanes<T>{static_cast<T>(c0), static_cast<T>(c1)});
  }
}

struct DivisorGradientLane {
  template <class D, class V>
  HWY_INLINE V operator()(D, V gradient, V numerator, V denominator) const {
    return hn::Neg(hn::Mul(gradient, hn::Div(hn::Div(numerator, denominator), denominator)));
  }
};

template <typename T>
void DivisorGradientRow(const T* gradient, const T* numerator, const T* denominator, T* y, std::size_t n) {
  Map(gradient, numerator, denominator, y, n, DivisorGradientLane{});
}

struct GeluLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(x, NormalAt(d, x).integral);
  }
};

// d/dx x Phi(x) = Phi(x) + x phi(x).
struct GeluGradientLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V dy, V x) const {
    using T = hn::TFromD<D>;
    const Normal<V> normal = NormalAt(d, x);
    const V density = hn::Mul(normal.bell, hn::Set(d, static_cast<T>(0.39894228040143267794)));
    return hn::Mul(dy, hn::MulAdd(x, density, normal.integral));
  }
};

template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T{1});
  return hn::Div(one, hn::Add(one, SaturatingExp(d, hn::Neg(x))));
}

struct SiluLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(x, Sigmoid(d, x));
  }
};

// d/dx x s(x) = s + x s (1 - s).
struct SiluGradientLanes {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V dy, V x) const {
    using T = hn::TFromD<D>;
    const V s = Sigmoid(d, x);
    const V one = hn::Set(d, T{1});
    return hn::Mul(dy, hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one)));
  }
};

template <typename T>
void ActivationRow(Activation activation, const T* x, T* y, std::size_t n) {
  switch (activation) {
    case Activation::kGelu: return Map(x, y, n, GeluLanes{});
    case Activation::kSilu: return Map(x, y, n, SiluLanes{});
  }
}

template <typename T>
void ActivationGradientRow(Activation activation, const T* dy, const T* x, T* dx, std::size_t n) {
  switch (activation) {
    case Activation::kGelu: return Map(dy, x, dx, n, GeluGradientLanes{});
    case Activation::kSilu: return Map(dy, x, dx, n, SiluGradientLanes{});
  }
}

}  // namespace

// Highway's tables hold plain functions, so each type has its own name.
void UnaryF32(UnaryOp op, double c0, double c1, const float* x, float* y, std::size_t n) {
  UnaryRow(op, c0, c1, x, y, n);
}
void UnaryF64(UnaryOp op, double c0, double c1, const double* x, double* y, std::size_t n) {
  UnaryRow(op, c0, c1, x, y, n);
}
void BinaryF32(BinaryOp op, double c0, double c1, const float* a, const float* b, float* y, std::size_t n) {
  BinaryRow(op, c0, c1, a, b, y, n);
}
void BinaryF64(BinaryOp op, double c0, double c1, const double* a, const double* b, double* y, std::size_t n) {
  BinaryRow(op, c0, c1, a, b, y, n);
}
void DivisorGradientF32(const float* g, const float* a, const float* b, float* y, std::size_t n) {
  DivisorGradientRow(g, a, b, y, n);
}
void DivisorGradientF64(const double* g, const double* a, const double* b, double* y, std::size_t n) {
  DivisorGradientRow(g, a, b, y, n);
}
void ActivationF32(Activation activation, const float* x, float* y, std::size_t n) {
  ActivationRow(activation, x, y, n);
}
void ActivationF64(Activation activation, const double* x, double* y, std::size_t n) {
  ActivationRow(activation, x, y, n);
}
void ActivationGradientF32(Activation activation, const float* dy, const float* x, float* dx, std::size_t n) {
  ActivationGradientRow(activation, dy, x, dx, n);
}
void ActivationGradientF64(Activation activation, const double* dy, const double* x, double* dx, std::size_t n) {
  ActivationGradientRow(activation, dy, x, dx, n);
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::autograd::host {

HWY_EXPORT(UnaryF32);
HWY_EXPORT(UnaryF64);
HWY_EXPORT(BinaryF32);
HWY_EXPORT(BinaryF64);
HWY_EXPORT(DivisorGradientF32);
HWY_EXPORT(DivisorGradientF64);
HWY_EXPORT(ActivationF32);
HWY_EXPORT(ActivationF64);
HWY_EXPORT(ActivationGradientF32);
HWY_EXPORT(ActivationGradientF64);

void UnaryLanes(UnaryOp op, double c0, double c1, const float* x, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(UnaryF32)(op, c0, c1, x, y, n);
}
void UnaryLanes(UnaryOp op, double c0, double c1, const double* x, double* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(UnaryF64)(op, c0, c1, x, y, n);
}
void BinaryLanes(BinaryOp op, double c0, double c1, const float* a, const float* b, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(BinaryF32)(op, c0, c1, a, b, y, n);
}
void BinaryLanes(BinaryOp op, double c0, double c1, const double* a, const double* b, double* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(BinaryF64)(op, c0, c1, a, b, y, n);
}
void DivisorGradientLanes(const float* g, const float* a, const float* b, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(DivisorGradientF32)(g, a, b, y, n);
}
void DivisorGradientLanes(const double* g, const double* a, const double* b, double* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(DivisorGradientF64)(g, a, b, y, n);
}
void ActivationLanes(Activation activation, const float* x, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ActivationF32)(activation, x, y, n);
}
void ActivationLanes(Activation activation, const double* x, double* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ActivationF64)(activation, x, y, n);
}
void ActivationGradientLanes(Activation activation, const float* dy, const float* x, float* dx, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ActivationGradientF32)(activation, dy, x, dx, n);
}
void ActivationGradientLanes(Activation activation, const double* dy, const double* x, double* dx, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ActivationGradientF64)(activation, dy, x, dx, n);
}

}  // namespace tierlib::autograd::host
#endif  // HWY_ONCE
