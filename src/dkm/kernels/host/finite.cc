#include "dkm/kernels/finite.h"

#include <bit>

#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

// All bits of the exponent set: an infinity or a NaN.
template <typename Bits>
std::int64_t FirstWith(Bits exponent, const Bits* values, std::int64_t begin, std::int64_t end) {
  unsigned any = 0;  // a loop without a branch, which is nearly always all there is to do
  for (std::int64_t i = begin; i < end; ++i) any |= (values[i] & exponent) == exponent;
  for (std::int64_t i = begin; any != 0 && i < end; ++i) {
    if ((values[i] & exponent) == exponent) return i;
  }
  return kAllFinite;
}

std::int64_t FirstIn(DType dtype, const void* values, std::int64_t begin, std::int64_t end) {
  switch (dtype) {
    case DType::kF64:
      return FirstWith<std::uint64_t>(0x7ff0000000000000, static_cast<const std::uint64_t*>(values), begin, end);
    case DType::kF32:
      return FirstWith<std::uint32_t>(0x7f800000, static_cast<const std::uint32_t*>(values), begin, end);
    case DType::kBF16: return FirstWith<std::uint16_t>(0x7f80, static_cast<const std::uint16_t*>(values), begin, end);
    case DType::kF16: return FirstWith<std::uint16_t>(0x7c00, static_cast<const std::uint16_t*>(values), begin, end);
    default: return kAllFinite;
  }
}

}  // namespace

void LowerTo(std::int64_t position, FirstNonFinite& first) {
  std::int64_t seen = first.load(std::memory_order_relaxed);
  while (position < seen && !first.compare_exchange_weak(seen, position, std::memory_order_relaxed)) {
  }
}

void FindNonFinite(KernelContext& context, DType dtype, const void* values, std::int64_t count, FirstNonFinite& first) {
  constexpr std::int64_t kGrain = 16384;
  context.pool.ParallelFor(
      count, kGrain, [&](std::int64_t begin, std::int64_t end) { LowerTo(FirstIn(dtype, values, begin, end), first); });
}

}  // namespace tierlib::dkm::host
