// OpenBLAS as the kernels use it: one product on the calling thread.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_BLAS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_BLAS_H_

#include <cstdint>

namespace tierlib::autograd::host {

// While it lives, BLAS calls of this thread run on this thread alone. The setting that was there comes back afterwards:
// a program's own use of OpenMP on the thread is not changed.
class OneBlasThread {
 public:
  OneBlasThread();
  ~OneBlasThread();
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;

 private:
  int before_ = 0;
};

// C = alpha op(A) op(B) + beta C, row-major, as MatMulArguments in matmul.h. REQUIRES: a OneBlasThread, and sizes of at
// most 2^31 - 1 (tiles are far smaller; leading dimensions are what the op checks).
void Gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc);
void Gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
          std::int64_t ldc);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_BLAS_H_
