// Saved and Loaded: a value in the runtime's care, and that value back on the device.
#ifndef TIERLIB_SAVED_H_
#define TIERLIB_SAVED_H_

#include <memory>
#include <utility>

#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/view.h"

namespace tierlib {

namespace internal {
class SavedValue;
class LoadedValue;
}  // namespace internal

// A value that Pack took. Copies share it; when the last is dropped its host bytes are given back. May be destroyed in
// any order and after the Runtime, from any thread.
class Saved {
 public:
  Saved() = default;
  explicit Saved(std::shared_ptr<internal::SavedValue> value) : value_(std::move(value)) {}
  bool valid() const { return value_ != nullptr; }
  const std::shared_ptr<internal::SavedValue>& value() const { return value_; }

 private:
  std::shared_ptr<internal::SavedValue> value_;
};

// A shared read-only lease on the bytes of a saved value, equal to the bit to what was packed: leases on values that
// show the same bytes have one address, so that who writes there writes for all of them. The bytes stay valid for work
// enqueued before the last copy of this handle is dropped, on the stream given to Unpack and on those named by UsedOn.
class Loaded {
 public:
  Loaded() = default;
  explicit Loaded(std::shared_ptr<internal::LoadedValue> value) : value_(std::move(value)) {}
  bool valid() const { return value_ != nullptr; }

  // Address of the storage's byte 0 as this value's layout counts it: element (i, j, ...) lies at
  // origin() + layout().offset_bytes + (i * stride_0 + j * stride_1 + ...) * element size. Bytes that no saved value
  // needed may not be there; only what layout() reaches may be read. Writing is an error that nothing detects.
  const void* origin() const;
  const Layout& layout() const;

  // Names a further stream that reads the bytes. The memory is used again only after that stream's work too.
  // InvalidArgument for a stream of another device: copy the bytes there on a stream of this one instead.
  Status UsedOn(Stream stream) const;

 private:
  std::shared_ptr<internal::LoadedValue> value_;
};

}  // namespace tierlib

#endif  // TIERLIB_SAVED_H_
