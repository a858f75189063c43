// Layouts for tests that compare with brute force: slices, steps, transposes, expands, overlapping windows, of every
// element size, at odd offsets.
#ifndef TIERLIB_TESTS_STORAGE_RANDOM_LAYOUT_H_
#define TIERLIB_TESTS_STORAGE_RANDOM_LAYOUT_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/random.h"
#include "tierlib/view.h"

namespace tierlib {

inline DType RandomDType(Random& random) {
  constexpr DType kDTypes[] = {DType::kU8, DType::kF16, DType::kF32, DType::kF64, DType::kI32, DType::kBF16};
  return kDTypes[random.UniformInt(std::size(kDTypes))];
}

// Strides of a layout of `sizes`: row-major in a random order of the dimensions (a transpose), with steps, gaps,
// repeats and overlaps.
inline Dims RandomStrides(Random& random, const Dims& sizes) {
  Dims strides = Dims::Filled(sizes.rank(), 1);
  if (random.UniformInt(4) == 0) {  // windows: whatever overlaps
    for (int i = 0; i < sizes.rank(); ++i) strides[i] = static_cast<std::int64_t>(random.UniformInt(9));
    return strides;
  }
  int order[Dims::kMaxRank] = {};
  for (int i = 0; i < sizes.rank(); ++i) {
    order[i] = i;
    std::swap(order[i], order[random.UniformInt(static_cast<std::uint64_t>(i) + 1)]);
  }
  std::int64_t stride = 1;
  for (int i = sizes.rank(); i-- > 0;) {
    const int dimension = order[i];
    if (random.UniformInt(6) == 0) {
      strides[dimension] = 0;  // expand
      continue;
    }
    if (random.UniformInt(4) == 0) stride *= 2;                                                // a step
    if (random.UniformInt(4) == 0) stride += static_cast<std::int64_t>(random.UniformInt(3));  // a slice of a wider one
    strides[dimension] = stride;
    stride *= std::max<std::int64_t>(1, sizes[dimension]);
  }
  return strides;
}

// A layout that fits into `storage_bytes` (at least 8).
inline Layout RandomLayout(Random& random, std::uint64_t storage_bytes) {
  for (;;) {
    Layout layout;
    layout.dtype = RandomDType(random);
    const int rank = static_cast<int>(random.UniformInt(5));
    for (int i = 0; i < rank; ++i) {
      const bool empty = random.UniformInt(40) == 0;
      layout.sizes.push_back(empty ? 0 : static_cast<std::int64_t>(1 + random.UniformInt(7)));
    }
    layout.strides = RandomStrides(random, layout.sizes);
    layout.offset_bytes = static_cast<std::int64_t>(random.UniformInt(storage_bytes));
    if (random.UniformInt(2) == 0) layout.offset_bytes /= 4;
    if (layout.Validate(storage_bytes).ok()) return layout;
  }
}

// Calls `visit(index, byte offset in the storage)` for every element, in row-major order; index counts elements.
inline void ForEachElement(const Layout& layout, const std::function<void(std::int64_t, std::int64_t)>& visit) {
  const std::int64_t count = layout.elements();
  for (std::int64_t element = 0; element < count; ++element) {
    std::int64_t rest = element;
    std::int64_t offset = 0;
    for (int i = layout.rank(); i-- > 0;) {
      offset += rest % layout.sizes[i] * layout.strides[i];
      rest /= layout.sizes[i];
    }
    visit(element, layout.offset_bytes + offset * static_cast<std::int64_t>(ElementBytes(layout.dtype)));
  }
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_STORAGE_RANDOM_LAYOUT_H_
