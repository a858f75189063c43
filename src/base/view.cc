#include "tierlib/view.h"

#include <limits>

#include "base/checked_math.h"

namespace tierlib {
namespace {

void AppendDims(const Dims& dims, char open, char close, std::string* text) {
  *text += open;
  for (int i = 0; i < dims.rank(); ++i) {
    if (i > 0) *text += ',';
    *text += std::to_string(dims[i]);
  }
  *text += close;
}

Status Bad(const Layout& layout, const std::string& what) {
  return InvalidArgumentError("layout " + layout.ToString() + ": " + what);
}

// One past the last byte that a layout with at least one element reaches. False where a product or sum overflows.
bool EndByte(const Layout& layout, std::int64_t* end) {
  const std::int64_t element_bytes = static_cast<std::int64_t>(ElementBytes(layout.dtype));
  std::int64_t elements = 1;
  std::int64_t last = 0;
  for (int i = 0; i < layout.rank(); ++i) {
    std::int64_t reach = 0;
    if (!CheckedMul(elements, layout.sizes[i], &elements) ||
        !CheckedMul(layout.sizes[i] - 1, layout.strides[i], &reach) || !CheckedAdd(last, reach, &last)) {
      return false;
    }
  }
  std::int64_t logical_bytes = 0;
  return CheckedMul(elements, element_bytes, &logical_bytes) && CheckedAdd(last, 1, end) &&
         CheckedMul(*end, element_bytes, end) && CheckedAdd(*end, layout.offset_bytes, end);
}

}  // namespace

std::int64_t Layout::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) {
    if (size == 0) return 0;  // before a saturated product can hide it
    product = SaturatingMul(product, size);
  }
  return product;
}

std::int64_t Layout::logical_bytes() const {
  return SaturatingMul(elements(), static_cast<std::int64_t>(ElementBytes(dtype)));
}

bool Layout::is_contiguous() const {
  if (elements() == 0) return true;
  std::int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;  // its stride is never used
    if (strides[i] != expected) return false;
    expected = SaturatingMul(expected, sizes[i]);
  }
  return true;
}

std::string Layout::ToString() const {
  std::string text = DTypeName(dtype);
  AppendDims(sizes, '[', ']', &text);
  AppendDims(strides, '{', '}', &text);
  return text + '+' + std::to_string(offset_bytes);
}

Layout Layout::Contiguous(DType dtype, Dims sizes) {
  Layout layout{dtype, sizes, Dims::Filled(sizes.rank(), 1), 0};
  std::int64_t stride = 1;
  for (int i = sizes.rank() - 1; i >= 0; --i) {
    layout.strides[i] = stride;
    // An empty dimension must not make the strides of the others zero: they would look like an expand.
    if (sizes[i] > 1) stride = SaturatingMul(stride, sizes[i]);
  }
  return layout;
}

Status Layout::Validate(std::uint64_t storage_bytes) const {
  if (ElementBytes(dtype) == 0) return InvalidArgumentError("layout of an unknown dtype");
  if (sizes.rank() != strides.rank())
    return Bad(*this, std::to_string(sizes.rank()) + " sizes, but " + std::to_string(strides.rank()) + " strides");
  bool empty = false;
  for (int i = 0; i < rank(); ++i) {
    if (sizes[i] < 0) return Bad(*this, "size " + std::to_string(i) + " is negative");
    if (strides[i] < 0) return Bad(*this, "stride " + std::to_string(i) + " is negative");
    if (sizes[i] == 0) empty = true;
  }
  if (offset_bytes < 0) return Bad(*this, "the offset is negative");
  std::int64_t end = offset_bytes;
  if (!empty && !EndByte(*this, &end)) return Bad(*this, "its size overflows 63 bits");
  if (static_cast<std::uint64_t>(end) > storage_bytes) {
    return Bad(*this, "ends at byte " + std::to_string(end) + ", but the storage has " + std::to_string(storage_bytes));
  }
  return OkStatus();
}

}  // namespace tierlib
