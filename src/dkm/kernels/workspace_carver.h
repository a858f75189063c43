// WorkspaceCarver: cuts a workspace up into arrays, or, from null, counts the bytes that they need.
#ifndef TIERLIB_SRC_DKM_KERNELS_WORKSPACE_CARVER_H_
#define TIERLIB_SRC_DKM_KERNELS_WORKSPACE_CARVER_H_

#include <cstddef>

namespace tierlib::dkm {

// Arrays begin at multiples of `kAlignment` from the workspace's begin.
template <std::size_t kAlignment>
class WorkspaceCarver {
 public:
  explicit WorkspaceCarver(void* workspace) : begin_(static_cast<std::byte*>(workspace)) {}

  // Null where bytes are only counted.
  template <typename T>
  T* Take(std::size_t elements) {
    T* const taken = begin_ == nullptr ? nullptr : reinterpret_cast<T*>(begin_ + bytes_);
    bytes_ += (elements * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return taken;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* begin_;
  std::size_t bytes_ = 0;
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_KERNELS_WORKSPACE_CARVER_H_
