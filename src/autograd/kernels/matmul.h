// Matrix products by OpenBLAS, one BLAS thread per call; the pool splits a product over batches, rows and columns of
// the result by a tiling of its shape alone, never over k, so that bits do not depend on threads.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_MATMUL_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_MATMUL_H_

#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// For every index of the batch: C = alpha op(A) op(B) + beta C, where op(A) is m x k, op(B) is k x n, and op transposes
// where the flag is set. Matrices are row-major: lda, ldb and ldc are the strides of their rows as stored (op(A)^T is
// stored as k x m), in elements. With beta 0, C is only written. m, n and batches may be 0; with k 0 the product is 0.
struct MatMulArguments {
  DType dtype = DType::kF32;  // of A, B and C
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  const void* a = nullptr;
  std::int64_t lda = 0;
  bool transpose_a = false;
  const void* b = nullptr;
  std::int64_t ldb = 0;
  bool transpose_b = false;
  void* c = nullptr;
  std::int64_t ldc = 0;
  double alpha = 1;
  double beta = 0;
  // Leading dimensions: sizes, and the stride of each operand in elements (0 repeats A or B; C's matrices are
  // disjoint). All of one rank; rank 0 is a single product.
  Dims batch;
  Dims batch_strides_a;
  Dims batch_strides_b;
  Dims batch_strides_c;
};
void MatMul(KernelContext& context, const MatMulArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_MATMUL_H_
