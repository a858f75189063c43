// Layout and View: how a tensor looks at the bytes of a storage. Making one moves no byte.
#ifndef TIERLIB_VIEW_H_
#define TIERLIB_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "tierlib/dtype.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"

namespace tierlib {

// Up to kMaxRank sizes or strides, in place.
class Dims {
 public:
  static constexpr int kMaxRank = 8;

  Dims() = default;
  // REQUIRES: at most kMaxRank values.
  Dims(std::initializer_list<std::int64_t> values) : Dims(values.begin(), static_cast<int>(values.size())) {}
  Dims(const std::int64_t* values, int rank) : rank_(rank) {
    for (int i = 0; i < rank; ++i) values_[i] = values[i];
  }
  static Dims Filled(int rank, std::int64_t value) {
    Dims dims;
    dims.rank_ = rank;
    for (int i = 0; i < rank; ++i) dims.values_[i] = value;
    return dims;
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return values_[i]; }
  std::int64_t& operator[](int i) { return values_[i]; }
  void push_back(std::int64_t value) { values_[rank_++] = value; }  // REQUIRES: rank() < kMaxRank
  const std::int64_t* begin() const { return values_; }
  const std::int64_t* end() const { return values_ + rank_; }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i) {
      if (a.values_[i] != b.values_[i]) return false;
    }
    return true;
  }
  friend bool operator!=(const Dims& a, const Dims& b) { return !(a == b); }

 private:
  std::int64_t values_[kMaxRank] = {};
  int rank_ = 0;
};

// Sizes and strides in elements, offset in BYTES from the start of the storage (a dtype view changes the element size,
// so only bytes mean the same to every view). Strides are zero or positive; zero repeats one element (expand).
struct Layout {
  DType dtype = DType::kF32;
  Dims sizes;
  Dims strides;
  std::int64_t offset_bytes = 0;

  int rank() const { return sizes.rank(); }
  std::int64_t elements() const;                      // product of the sizes; 1 for rank 0
  std::int64_t logical_bytes() const;                 // elements() * element size: what a framework copies per tensor
  bool is_contiguous() const;                         // row-major without gaps
  std::string ToString() const;                       // "f32[12,64]{64,1}+0"
  static Layout Contiguous(DType dtype, Dims sizes);  // row-major at offset 0

  // InvalidArgument where ranks differ, a size or stride is negative, any product overflows, or the last byte lies at
  // or beyond `storage_bytes`. OK means that every access through this layout stays inside the storage.
  Status Validate(std::uint64_t storage_bytes) const;

  friend bool operator==(const Layout& a, const Layout& b) {
    return a.dtype == b.dtype && a.sizes == b.sizes && a.strides == b.strides && a.offset_bytes == b.offset_bytes;
  }
  friend bool operator!=(const Layout& a, const Layout& b) { return !(a == b); }
};

// A layout over a storage. A handle without ownership: it keeps nothing alive, and stays valid when the bytes are
// moved.
struct View {
  StorageId storage;
  Layout layout;
  // For programs that cannot announce every write with Runtime::BeginWrite but count them (PyTorch's tensor._version):
  // how often the storage was written by now, through whatever view, as the program counts. nullopt: every write is
  // announced. A later version than the last that was seen tells of a write that nobody announced; an earlier one is
  // FailedPrecondition.
  std::optional<std::uint64_t> version = std::nullopt;
};

}  // namespace tierlib

#endif  // TIERLIB_VIEW_H_
