// Tensor: a view over a storage of a Runtime, and a counted handle on that storage.
#ifndef TIERLIB_AUTOGRAD_TENSOR_H_
#define TIERLIB_AUTOGRAD_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tierlib/runtime.h"
#include "tierlib/view.h"

namespace tierlib::autograd {

// Where tensors live and work is enqueued: one device and one compute stream of a Runtime. Made once, outlives its
// tensors' creation (tensors themselves keep the runtime's core alive). Thread-safety: as Runtime.
class Context {
 public:
  // REQUIRES: the runtime outlives the context.
  static StatusOr<std::unique_ptr<Context>> Create(Runtime& runtime, int device = 0);
  ~Context();
  Runtime& runtime() const;
  int device() const;
  Stream stream() const;
  struct State;
  State& state() const { return *state_; }

 private:
  explicit Context(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A value type: copies share the storage; when the last handle is dropped the storage is retired. Elements are read and
// written only by kernels on the context's stream; CopyToHost and CopyFromHost are the host's way to them.
class Tensor {
 public:
  Tensor() = default;
  bool defined() const { return handle_ != nullptr; }

  // Uninitialised, row-major.
  static StatusOr<Tensor> Empty(Context& context, DType dtype, Dims sizes, Holds holds, std::string_view label);
  static StatusOr<Tensor> Zeros(Context& context, DType dtype, Dims sizes, Holds holds, std::string_view label);
  // From host memory of elements() values of `dtype`, row-major, which the caller may reuse on return.
  static StatusOr<Tensor> FromHost(Context& context, DType dtype, Dims sizes, const void* data, Holds holds,
                                   std::string_view label);
  // The host's two ways to the elements. REQUIRES: the context still lives.
  // Row-major copy of the elements to `data`; blocks until it is there. `bytes` must be layout().logical_bytes().
  Status CopyToHost(void* data, std::size_t bytes) const;
  // Overwrites the elements (announces the write). REQUIRES: row-major layout.
  Status CopyFromHost(const void* data, std::size_t bytes);

  const Layout& layout() const { return layout_; }
  DType dtype() const { return layout_.dtype; }
  const Dims& sizes() const { return layout_.sizes; }
  std::int64_t elements() const { return layout_.elements(); }
  StorageId storage() const;
  View view() const { return View{storage(), layout_}; }
  // Device address of element (0, ..., 0). For kernels only.
  void* data() const;

  // The same storage through another layout. REQUIRES: the layout stays inside the storage.
  Tensor WithLayout(const Layout& layout) const;

  struct Handle;
  Tensor(std::shared_ptr<Handle> handle, Layout layout) : handle_(std::move(handle)), layout_(layout) {}
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  std::shared_ptr<Handle> handle_;
  Layout layout_;
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_AUTOGRAD_TENSOR_H_
