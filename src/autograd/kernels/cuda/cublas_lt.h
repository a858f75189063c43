// CublasLt: matrix products by cuBLASLt. 16-bit types and float32 are summed in float32 (no TF32), float64 in float64;
// of cuBLAS's algorithms only those are asked for that add partial sums in the compute type and in a fixed order, so
// that results are the same in every run on one kind of device.
//
// Which algorithm suits a product is asked once for each shape. The library is loaded at the first product.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "autograd/kernels/cuda/cublas_lt_library.h"
#include "autograd/kernels/matmul.h"
#include "base/mutex.h"

namespace tierlib::autograd::cuda {

// What NVIDIA recommends for Hopper.
inline constexpr std::size_t kMatMulWorkspaceBytes = std::size_t{32} << 20;

// C as a tensor [batch..., m, n].
host::Target ResultOf(const host::MatMulArguments& a);

class CublasLt {
 public:
  // `files`: where the library may be, in the order in which they are tried.
  explicit CublasLt(std::vector<std::string> files = CublasLtLibrary::UsualFiles()) : files_(std::move(files)) {}
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  // Enqueues the product (host::MatMul is the reference) on a cudaStream_t of the thread's current device, always of
  // the same one. `workspace` is aligned to 256. Unimplemented where there is no cuBLASLt or it has no way to compute
  // such a product; Unavailable with its words. Thread-safe. REQUIRES: k > 0.
  Status Multiply(const host::MatMulArguments& a, void* stream, void* workspace, std::size_t workspace_bytes);

 private:
  using Shape = std::array<std::int64_t, 16>;  // all that an algorithm depends on

  Status Open();
  Status MultiplyBatch(const host::MatMulArguments& a, std::int64_t batches, const std::array<std::int64_t, 3>& strides,
                       void* stream, void* workspace, std::size_t workspace_bytes);

  const std::vector<std::string> files_;
  Mutex mutex_;
  std::shared_ptr<const CublasLtLibrary> library_ ABSL_GUARDED_BY(mutex_);
  void* handle_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::flat_hash_map<Shape, CublasLtAlgorithm> algorithms_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_H_
