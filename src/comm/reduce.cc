#include "comm/reduce.h"

#include <string>
#include <type_traits>

#include "base/check.h"

namespace tierlib::comm {
namespace {

template <typename T>
T Add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;  // wraps around where the signed sum would be undefined
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

template <typename T>
T Combine(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::kSum: return Add(a, b);
    // A NaN in `a` stays, as nothing is less than it; one in `b` is unequal to itself.
    case Reduction::kMin: return b < a || b != b ? b : a;
    case Reduction::kMax: return b > a || b != b ? b : a;
  }
  return a;
}

template <typename T>
void Run(const std::vector<const void*>& inputs, std::uint64_t first, std::uint64_t count, Reduction reduction,
         void* out) {
  T* const to = static_cast<T*>(out);
  for (std::uint64_t i = 0; i < count; ++i) {
    T sum = static_cast<const T*>(inputs[0])[first + i];
    for (std::size_t rank = 1; rank < inputs.size(); ++rank) {
      sum = Combine(reduction, sum, static_cast<const T*>(inputs[rank])[first + i]);
    }
    to[i] = sum;
  }
}

}  // namespace

Status CheckReducible(DType dtype) {
  if (dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kI32 || dtype == DType::kI64) return OkStatus();
  return InvalidArgumentError(std::string("dtype ") + DTypeName(dtype) +
                              " is not reduced over learners: f32, f64, i32 and i64 are");
}

void ReduceInOrder(const std::vector<const void*>& inputs, std::uint64_t first, std::uint64_t count, DType dtype,
                   Reduction reduction, void* out) {
  switch (dtype) {
    case DType::kF32: return Run<float>(inputs, first, count, reduction, out);
    case DType::kF64: return Run<double>(inputs, first, count, reduction, out);
    case DType::kI32: return Run<std::int32_t>(inputs, first, count, reduction, out);
    case DType::kI64: return Run<std::int64_t>(inputs, first, count, reduction, out);
    default: TIERLIB_CHECK(false, "a dtype is reduced that CheckReducible refuses");
  }
}

}  // namespace tierlib::comm
