#include "autograd/kernels/host/blas.h"

#include <cblas.h>
#include <dlfcn.h>

namespace tierlib::autograd::host {
namespace {

// Debian's libopenblas is built with OpenMP: how many threads a call uses is OpenMP's setting of the calling thread,
// which starts as the number of processors on every new thread. Looked up by name because tierlib itself does not need
// OpenMP and other builds of OpenBLAS do not bring it.
struct OpenMp {
  int (*get_max_threads)() = nullptr;
  void (*set_num_threads)(int) = nullptr;

  OpenMp() {
    if (openblas_get_parallel() == OPENBLAS_OPENMP) {
      get_max_threads = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
      set_num_threads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    }
    // Built with its own threads, OpenBLAS has one setting for the whole process. Where it has no threads this does
    // nothing.
    if (set_num_threads == nullptr) openblas_set_num_threads(1);
  }
};

const OpenMp& OpenMpOfBlas() {
  static const OpenMp openmp;
  return openmp;
}

CBLAS_TRANSPOSE Transposed(bool transpose) { return transpose ? CblasTrans : CblasNoTrans; }

}  // namespace

OneBlasThread::OneBlasThread() {
  const OpenMp& openmp = OpenMpOfBlas();
  if (openmp.set_num_threads == nullptr || openmp.get_max_threads == nullptr) return;
  before_ = openmp.get_max_threads();
  if (before_ != 1) openmp.set_num_threads(1);
}

OneBlasThread::~OneBlasThread() {
  if (before_ > 1) OpenMpOfBlas().set_num_threads(before_);
}

void Gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  cblas_sgemm(CblasRowMajor, Transposed(transpose_a), Transposed(transpose_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b,
              static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

void Gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
          std::int64_t ldc) {
  cblas_dgemm(CblasRowMajor, Transposed(transpose_a), Transposed(transpose_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b,
              static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

}  // namespace tierlib::autograd::host
