// A cuBLASLt on the host: column-major products by plain loops, and a check of every promise that the caller makes: an
// algorithm is used for the shape and the alignments it was asked for, matrices are as aligned as was said, and
// descriptors are destroyed.
#include <atomic>
#include <cstdint>
#include <cstring>

#include "autograd/kernels/cuda/cublas_lt_library.h"
#include "autograd/kernels/host/float16.h"

namespace {

using namespace tierlib::autograd::cuda;  // NOLINT: what the library is declared as
using tierlib::autograd::host::BF16FromFloat;
using tierlib::autograd::host::F16FromFloat;
using tierlib::autograd::host::FloatFromBF16;
using tierlib::autograd::host::FloatFromF16;

constexpr CublasResult kInvalidValue = 7;
constexpr CublasResult kNotSupported = 15;

std::atomic<int> living{0};
std::atomic<int> asked{0};

struct Operation {
  int compute = 0;
  bool transpose_a = false;
  bool transpose_b = false;
};
struct Matrix {
  int type = 0;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::int64_t leading = 0;
  std::int32_t batches = 1;
  std::int64_t stride = 0;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t schemes = ~0u;
  std::uint32_t alignments[4] = {256, 256, 256, 256};
};

template <typename T>
CublasResult Make(void** place, const T& value) {
  *place = new T(value);
  ++living;
  return kCublasSuccess;
}
template <typename T>
CublasResult Delete(void* object) {
  delete static_cast<T*>(object);
  --living;
  return kCublasSuccess;
}
template <typename T>
CublasResult Set(T& to, const void* value, std::size_t bytes) {
  if (bytes != sizeof(T)) return kInvalidValue;
  std::memcpy(&to, value, bytes);
  return kCublasSuccess;
}

double Load(int type, const void* data, std::int64_t i) {
  switch (type) {
    case kCudaR64F: return static_cast<const double*>(data)[i];
    case kCudaR32F: return static_cast<double>(static_cast<const float*>(data)[i]);
    case kCudaR16BF: return static_cast<double>(FloatFromBF16(static_cast<const std::uint16_t*>(data)[i]));
    default: return static_cast<double>(FloatFromF16(static_cast<const std::uint16_t*>(data)[i]));
  }
}
void Store(int type, void* data, std::int64_t i, double value) {
  switch (type) {
    case kCudaR64F: static_cast<double*>(data)[i] = value; return;
    case kCudaR32F: static_cast<float*>(data)[i] = static_cast<float>(value); return;
    case kCudaR16BF: static_cast<std::uint16_t*>(data)[i] = BF16FromFloat(static_cast<float>(value)); return;
    default: static_cast<std::uint16_t*>(data)[i] = F16FromFloat(static_cast<float>(value)); return;
  }
}

std::uint64_t ShapeOf(const Operation& o, const Matrix& a, const Matrix& b, const Matrix& c) {
  std::uint64_t hash = static_cast<std::uint64_t>(o.compute * 4 + o.transpose_a * 2 + o.transpose_b);
  for (const Matrix* m : {&a, &b, &c}) {
    for (const std::uint64_t value :
         {static_cast<std::uint64_t>(m->type), m->rows, m->columns, static_cast<std::uint64_t>(m->leading),
          static_cast<std::uint64_t>(m->batches), static_cast<std::uint64_t>(m->stride)}) {
      hash = (hash ^ value) * 0x100000001b3;
    }
  }
  return hash;
}

bool Fits(const Operation& o, const Matrix& a, const Matrix& b, const Matrix& c) {
  const std::uint64_t m = o.transpose_a ? a.columns : a.rows, k = o.transpose_a ? a.rows : a.columns;
  const std::uint64_t n = o.transpose_b ? b.rows : b.columns, depth = o.transpose_b ? b.columns : b.rows;
  for (const Matrix* x : {&a, &b, &c}) {
    if (x->leading < static_cast<std::int64_t>(x->rows) || x->type != c.type || x->batches != c.batches) return false;
  }
  return m == c.rows && n == c.columns && k == depth && o.compute == (c.type == kCudaR64F ? kCompute64F : kCompute32F);
}

bool Aligned(const void* data, std::uint64_t to) { return reinterpret_cast<std::uintptr_t>(data) % to == 0; }

}  // namespace

extern "C" {

int FakeCublasLtLiving() { return living; }
int FakeCublasLtAsked() { return asked; }

CublasResult cublasLtCreate(void** handle) { return Make(handle, 1); }
CublasResult cublasLtDestroy(void* handle) { return Delete<int>(handle); }
const char* cublasLtGetStatusString(CublasResult result) {
  return result == kNotSupported ? "not supported" : "invalid value";
}
CublasResult cublasLtMatmulDescCreate(void** descriptor, int compute, int scale) {
  if (scale != (compute == kCompute64F ? kCudaR64F : kCudaR32F)) return kInvalidValue;
  return Make(descriptor, Operation{compute});
}
CublasResult cublasLtMatmulDescDestroy(void* descriptor) { return Delete<Operation>(descriptor); }
CublasResult cublasLtMatmulDescSetAttribute(void* descriptor, int name, const void* value, std::size_t bytes) {
  std::int32_t set = 0;
  if (Set(set, value, bytes) != kCublasSuccess) return kInvalidValue;
  auto* const o = static_cast<Operation*>(descriptor);
  (name == kDescriptorTransposeA ? o->transpose_a : o->transpose_b) = set == kTransposed;
  return kCublasSuccess;
}
CublasResult cublasLtMatrixLayoutCreate(void** layout, int type, std::uint64_t rows, std::uint64_t columns,
                                        std::int64_t leading) {
  return Make(layout, Matrix{type, rows, columns, leading});
}
CublasResult cublasLtMatrixLayoutDestroy(void* layout) { return Delete<Matrix>(layout); }
CublasResult cublasLtMatrixLayoutSetAttribute(void* layout, int name, const void* value, std::size_t bytes) {
  auto* const m = static_cast<Matrix*>(layout);
  return name == kLayoutBatchCount ? Set(m->batches, value, bytes) : Set(m->stride, value, bytes);
}
CublasResult cublasLtMatmulPreferenceCreate(void** preference) { return Make(preference, Preference{}); }
CublasResult cublasLtMatmulPreferenceDestroy(void* preference) { return Delete<Preference>(preference); }
CublasResult cublasLtMatmulPreferenceSetAttribute(void* preference, int name, const void* value, std::size_t bytes) {
  auto* const p = static_cast<Preference*>(preference);
  if (name == kPreferenceWorkspaceBytes) return Set(p->workspace, value, bytes);
  if (name == kPreferenceReductionSchemes) return Set(p->schemes, value, bytes);
  for (int i = 0; i < 4; ++i) {
    if (name == kPreferenceAlignment[i]) return Set(p->alignments[i], value, bytes);
  }
  return kInvalidValue;
}
CublasResult cublasLtMatmulAlgoGetHeuristic(void*, void* descriptor, void* a, void* b, void* c, void* d,
                                            void* preference, int, CublasLtHeuristic* found, int* found_count) {
  ++asked;
  const auto& o = *static_cast<Operation*>(descriptor);
  const auto& left = *static_cast<Matrix*>(a);
  const auto& right = *static_cast<Matrix*>(b);
  const auto& result = *static_cast<Matrix*>(d);
  const auto& p = *static_cast<Preference*>(preference);
  *found_count = 0;
  if (c != d || p.schemes != kReduceInComputeType || !Fits(o, left, right, result)) return kInvalidValue;
  if (result.rows == 13 && result.columns == 13) return kNotSupported;
  *found_count = 1;
  found->state = kCublasSuccess;
  found->workspace_bytes = p.workspace;
  found->algorithm.data[0] = ShapeOf(o, left, right, result);
  for (int i = 0; i < 3; ++i) found->algorithm.data[1 + i] = p.alignments[i];
  return kCublasSuccess;
}
CublasResult cublasLtMatmul(void*, void* descriptor, const void* alpha, const void* a, void* a_layout, const void* b,
                            void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                            const CublasLtAlgorithm* algorithm, void* workspace, std::size_t workspace_bytes,
                            void* /*stream*/) {
  const auto& o = *static_cast<Operation*>(descriptor);
  const auto& left = *static_cast<Matrix*>(a_layout);
  const auto& right = *static_cast<Matrix*>(b_layout);
  const auto& result = *static_cast<Matrix*>(d_layout);
  if (c != d || c_layout != d_layout || !Fits(o, left, right, result)) return kInvalidValue;
  if (algorithm->data[0] != ShapeOf(o, left, right, result)) return kInvalidValue;
  if (!Aligned(a, algorithm->data[1]) || !Aligned(b, algorithm->data[2]) || !Aligned(d, algorithm->data[3])) {
    return kInvalidValue;
  }
  if (workspace == nullptr || !Aligned(workspace, 256)) return kInvalidValue;
  std::memset(workspace, 0x7e, workspace_bytes < 4096 ? workspace_bytes : 4096);
  const bool wide = o.compute == kCompute64F;
  const double by = wide ? *static_cast<const double*>(alpha) : static_cast<double>(*static_cast<const float*>(alpha));
  const double keep = wide ? *static_cast<const double*>(beta) : static_cast<double>(*static_cast<const float*>(beta));
  const auto depth = static_cast<std::int64_t>(o.transpose_a ? left.rows : left.columns);
  for (std::int64_t batch = 0; batch < result.batches; ++batch) {
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(result.rows); ++i) {
      for (std::int64_t j = 0; j < static_cast<std::int64_t>(result.columns); ++j) {
        double sum = 0;
        for (std::int64_t p = 0; p < depth; ++p) {
          const std::int64_t x = batch * left.stride + (o.transpose_a ? p + i * left.leading : i + p * left.leading);
          const std::int64_t y = batch * right.stride + (o.transpose_b ? j + p * right.leading : p + j * right.leading);
          sum += Load(left.type, a, x) * Load(right.type, b, y);
        }
        const std::int64_t at = batch * result.stride + i + j * result.leading;
        const double before = keep == 0 ? 0 : keep * Load(result.type, d, at);
        Store(result.type, d, at, by * sum + before);
      }
    }
  }
  return kCublasSuccess;
}

}  // extern "C"
