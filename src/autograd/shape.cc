#include "autograd/shape.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"

namespace tierlib::autograd {

std::string SizesText(const Dims& sizes) {
  std::string text = "[";
  for (int i = 0; i < sizes.rank(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(sizes[i]);
  }
  return text + ']';
}

StatusOr<int> CheckDim(int dim, const Dims& sizes) {
  const int counted = dim < 0 ? dim + sizes.rank() : dim;
  if (counted < 0 || counted >= sizes.rank()) {
    return InvalidArgumentError("dimension " + std::to_string(dim) + " of " + SizesText(sizes));
  }
  return counted;
}

StatusOr<Dims> BroadcastSizes(const Dims& a, const Dims& b) {
  const int rank = std::max(a.rank(), b.rank());
  Dims result = Dims::Filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t size_a = i <= a.rank() ? a[a.rank() - i] : 1;
    const std::int64_t size_b = i <= b.rank() ? b[b.rank() - i] : 1;
    if (size_a != size_b && size_a != 1 && size_b != 1) {
      return InvalidArgumentError(SizesText(a) + " and " + SizesText(b) + " do not broadcast: sizes " +
                                  std::to_string(size_a) + " and " + std::to_string(size_b));
    }
    result[rank - i] = size_a == 1 ? size_b : size_a;
  }
  return result;
}

bool BroadcastsTo(const Dims& from, const Dims& to) {
  if (from.rank() > to.rank()) return false;
  for (int i = 1; i <= from.rank(); ++i) {
    const std::int64_t size = from[from.rank() - i];
    if (size != 1 && size != to[to.rank() - i]) return false;
  }
  return true;
}

Layout ExpandLayout(const Layout& layout, const Dims& sizes) {
  TIERLIB_DCHECK(BroadcastsTo(layout.sizes, sizes), "the layout does not broadcast to the sizes");
  Layout result{layout.dtype, sizes, Dims::Filled(sizes.rank(), 0), layout.offset_bytes};
  for (int i = 1; i <= layout.rank(); ++i) {
    const bool repeats = layout.sizes[layout.rank() - i] == 1 && sizes[sizes.rank() - i] != 1;
    result.strides[sizes.rank() - i] = repeats ? 0 : layout.strides[layout.rank() - i];
  }
  return result;
}

StatusOr<Dims> ExpandSizes(const Dims& from, const Dims& sizes) {
  Dims result = sizes;
  const int added = sizes.rank() - from.rank();
  std::int64_t elements = 1;
  for (int i = 0; i < sizes.rank(); ++i) {
    if (sizes[i] == -1 && added >= 0 && i >= added) result[i] = from[i - added];
    if (result[i] < 0) {
      return InvalidArgumentError("sizes " + SizesText(sizes) + " for " + SizesText(from) +
                                  ": -1 keeps the size of a dimension that is there, none else is negative");
    }
    if (!CheckedMul(elements, result[i], &elements)) {
      return InvalidArgumentError("sizes " + SizesText(sizes) + ": their product overflows");
    }
  }
  if (!BroadcastsTo(from, result)) {
    return InvalidArgumentError(SizesText(from) + " does not expand to " + SizesText(sizes));
  }
  return result;
}

StatusOr<Dims> InferSizes(const Dims& sizes, std::int64_t elements) {
  Dims result = sizes;
  int open = -1;
  std::int64_t known = 1;
  for (int i = 0; i < sizes.rank(); ++i) {
    if (sizes[i] == -1 && open < 0) {
      open = i;
    } else if (sizes[i] < 0) {
      return InvalidArgumentError("sizes " + SizesText(sizes) + ": one size may be -1, none else negative");
    } else if (__builtin_mul_overflow(known, sizes[i], &known)) {
      return InvalidArgumentError("sizes " + SizesText(sizes) + ": their product overflows");
    }
  }
  if (open >= 0 && known != 0 && elements % known == 0) {
    result[open] = elements / known;
    known = elements;
  }
  if (known != elements || (open >= 0 && result[open] < 0)) {
    return InvalidArgumentError("sizes " + SizesText(sizes) + " do not hold " + std::to_string(elements) + " elements");
  }
  return result;
}

std::optional<Layout> ReshapeLayout(const Layout& layout, const Dims& sizes) {
  if (layout.elements() == 0 || layout.rank() == 0) {
    Layout result = Layout::Contiguous(layout.dtype, sizes);
    result.offset_bytes = layout.offset_bytes;
    return result;
  }
  Layout result{layout.dtype, sizes, Dims::Filled(sizes.rank(), 1), layout.offset_bytes};
  // Old dimensions are joined from the last one on for as long as they are contiguous among themselves; the new
  // dimensions must cut each such run exactly.
  int next = sizes.rank() - 1;
  std::int64_t run_stride = layout.strides[layout.rank() - 1];
  std::int64_t run_elements = 1;
  std::int64_t cut_elements = 1;
  for (int i = layout.rank() - 1; i >= 0; --i) {
    run_elements *= layout.sizes[i];
    const bool run_ends = i == 0 || (layout.sizes[i - 1] != 1 && layout.strides[i - 1] != run_elements * run_stride);
    if (!run_ends) continue;
    while (next >= 0 && (cut_elements < run_elements || sizes[next] == 1)) {
      result.strides[next] = cut_elements * run_stride;
      cut_elements *= sizes[next];
      --next;
    }
    if (cut_elements != run_elements) return std::nullopt;
    if (i > 0) run_stride = layout.strides[i - 1];
    run_elements = 1;
    cut_elements = 1;
  }
  if (next >= 0) return std::nullopt;
  return result;
}

Layout TransposeLayout(const Layout& layout, int dim0, int dim1) {
  Layout result = layout;
  std::swap(result.sizes[dim0], result.sizes[dim1]);
  std::swap(result.strides[dim0], result.strides[dim1]);
  return result;
}

Layout SliceLayout(const Layout& layout, int dim, std::int64_t begin, std::int64_t end, std::int64_t step) {
  Layout result = layout;
  result.sizes[dim] = (end - begin + step - 1) / step;
  result.strides[dim] = layout.strides[dim] * step;
  // An empty slice at the end must not point beyond the storage.
  if (result.sizes[dim] > 0) {
    result.offset_bytes += begin * layout.strides[dim] * static_cast<std::int64_t>(ElementBytes(layout.dtype));
  }
  return result;
}

Layout InsertDim(const Layout& layout, int dim) {
  Layout result{layout.dtype, Dims(), Dims(), layout.offset_bytes};
  for (int i = 0; i <= layout.rank(); ++i) {
    if (i == dim) {
      result.sizes.push_back(1);
      result.strides.push_back(i < layout.rank() ? layout.sizes[i] * layout.strides[i] : 1);
    }
    if (i < layout.rank()) {
      result.sizes.push_back(layout.sizes[i]);
      result.strides.push_back(layout.strides[i]);
    }
  }
  return result;
}

Layout RemoveDim(const Layout& layout, int dim) {
  Layout result{layout.dtype, Dims(), Dims(), layout.offset_bytes};
  for (int i = 0; i < layout.rank(); ++i) {
    if (i == dim) continue;
    result.sizes.push_back(layout.sizes[i]);
    result.strides.push_back(layout.strides[i]);
  }
  return result;
}

bool SameElements(const Layout& a, const Layout& b) {
  if (a.dtype != b.dtype || a.sizes != b.sizes || a.offset_bytes != b.offset_bytes) return false;
  for (int i = 0; i < a.rank(); ++i) {
    if (a.sizes[i] > 1 && a.strides[i] != b.strides[i]) return false;
  }
  return true;
}

std::int64_t ReachBytes(const Layout& layout) {
  std::int64_t last = 0;
  for (int i = 0; i < layout.rank(); ++i) {
    if (layout.sizes[i] == 0) return 0;
    last += (layout.sizes[i] - 1) * layout.strides[i];
  }
  return (last + 1) * static_cast<std::int64_t>(ElementBytes(layout.dtype));
}

}  // namespace tierlib::autograd
