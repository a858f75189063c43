// CublasLtLibrary: NVIDIA's cuBLASLt, looked up when a product is wanted, so that one binary runs with and without it.
// What is declared here of it has not changed from cuBLAS 11 on.
//
// Thread-safety: after Load, its functions'.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_LIBRARY_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_LIBRARY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/status.h"

namespace tierlib::autograd::cuda {

using CublasResult = int;
inline constexpr CublasResult kCublasSuccess = 0;

// cudaDataType, cublasComputeType_t, cublasOperation_t, and the attributes of descriptors.
inline constexpr int kCudaR32F = 0;
inline constexpr int kCudaR64F = 1;
inline constexpr int kCudaR16F = 2;
inline constexpr int kCudaR16BF = 14;
inline constexpr int kCompute32F = 68;
inline constexpr int kCompute64F = 70;
inline constexpr std::int32_t kTransposed = 1;
inline constexpr int kDescriptorTransposeA = 3;
inline constexpr int kDescriptorTransposeB = 4;
inline constexpr int kLayoutBatchCount = 5;            // int32
inline constexpr int kLayoutBatchStride = 6;           // int64
inline constexpr int kPreferenceWorkspaceBytes = 1;    // uint64
inline constexpr int kPreferenceReductionSchemes = 3;  // uint32
inline constexpr std::uint32_t kReduceInComputeType = 2;
inline constexpr int kPreferenceAlignment[] = {5, 6, 7, 8};  // of A, B, C and D; uint32

struct CublasLtAlgorithm {
  std::uint64_t data[8];
};
struct CublasLtHeuristic {
  CublasLtAlgorithm algorithm;
  std::size_t workspace_bytes;
  CublasResult state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(CublasLtHeuristic) == 96);

struct CublasLtLibrary {
  // The first of `files` that there is; it stays loaded. Unimplemented, with what the system says, where there is none
  // or one of its functions is missing.
  static StatusOr<std::shared_ptr<const CublasLtLibrary>> Load(const std::vector<std::string>& files);
  // As the loader finds it, and where NVIDIA's installer puts it.
  static std::vector<std::string> UsualFiles();

  CublasResult (*Create)(void** handle) = nullptr;
  CublasResult (*Destroy)(void* handle) = nullptr;
  const char* (*GetStatusString)(CublasResult result) = nullptr;
  CublasResult (*MatmulDescCreate)(void** descriptor, int compute, int scale) = nullptr;
  CublasResult (*MatmulDescDestroy)(void* descriptor) = nullptr;
  CublasResult (*MatmulDescSetAttribute)(void* descriptor, int name, const void* value, std::size_t bytes) = nullptr;
  CublasResult (*MatrixLayoutCreate)(void** layout, int type, std::uint64_t rows, std::uint64_t columns,
                                     std::int64_t leading) = nullptr;
  CublasResult (*MatrixLayoutDestroy)(void* layout) = nullptr;
  CublasResult (*MatrixLayoutSetAttribute)(void* layout, int name, const void* value, std::size_t bytes) = nullptr;
  CublasResult (*MatmulPreferenceCreate)(void** preference) = nullptr;
  CublasResult (*MatmulPreferenceDestroy)(void* preference) = nullptr;
  CublasResult (*MatmulPreferenceSetAttribute)(void* preference, int name, const void* value,
                                               std::size_t bytes) = nullptr;
  CublasResult (*MatmulAlgoGetHeuristic)(void* handle, void* descriptor, void* a, void* b, void* c, void* d,
                                         void* preference, int wanted, CublasLtHeuristic* found,
                                         int* found_count) = nullptr;
  CublasResult (*Matmul)(void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout,
                         const void* b, void* b_layout, const void* beta, const void* c, void* c_layout, void* d,
                         void* d_layout, const CublasLtAlgorithm* algorithm, void* workspace,
                         std::size_t workspace_bytes, void* stream) = nullptr;

  // OK, or Unavailable with cuBLAS's words for what `what` was told.
  Status StatusOf(CublasResult result, const char* what) const;
};

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CUBLAS_LT_LIBRARY_H_
