// cuBLAS's matrices are column-major, so each of ours is seen transposed: C^T = op(B)^T op(A)^T, with B in the place of
// its first factor.
#include "autograd/kernels/cuda/cublas_lt.h"

#include <algorithm>
#include <utility>

namespace tierlib::autograd::cuda {
namespace {

// An object of cuBLASLt, destroyed with its holder.
class Held {
 public:
  explicit Held(CublasResult (*destroy)(void*)) : destroy_(destroy) {}
  ~Held() {
    if (object_ != nullptr) (void)destroy_(object_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  void** place() { return &object_; }
  void* get() const { return object_; }

 private:
  CublasResult (*destroy_)(void*);
  void* object_ = nullptr;
};

int CudaType(DType dtype) {
  switch (dtype) {
    case DType::kF64: return kCudaR64F;
    case DType::kBF16: return kCudaR16BF;
    case DType::kF16: return kCudaR16F;
    default: return kCudaR32F;
  }
}

// Of an array of matrices, as far as an algorithm may count on it: a power of two up to 256.
std::uint32_t Alignment(const void* data, std::int64_t stride_bytes) {
  const auto bits = reinterpret_cast<std::uintptr_t>(data) | static_cast<std::uintptr_t>(stride_bytes) | 256;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

// The batch with dimensions joined where all operands allow it: the last one goes to cuBLAS, the others are loops.
struct Batch {
  Dims sizes;
  Dims strides[3];  // of A, B and C

  explicit Batch(const host::MatMulArguments& a) {
    const Dims* const all[] = {&a.batch_strides_a, &a.batch_strides_b, &a.batch_strides_c};
    for (int i = 0; i < a.batch.rank(); ++i) {
      if (a.batch[i] == 1) continue;
      const int last = sizes.rank() - 1;
      bool joins = last >= 0;
      for (int o = 0; joins && o < 3; ++o) joins = strides[o][last] == (*all[o])[i] * a.batch[i];
      if (joins) {
        sizes[last] *= a.batch[i];
      } else {
        sizes.push_back(a.batch[i]);
      }
      for (int o = 0; o < 3; ++o) {
        if (joins) {
          strides[o][last] = (*all[o])[i];
        } else {
          strides[o].push_back((*all[o])[i]);
        }
      }
    }
    if (sizes.rank() > 0) return;
    sizes.push_back(1);
    for (Dims& s : strides) s.push_back(0);
  }
};

// The product at `index` of the batch's loops.
host::MatMulArguments ProductAt(const host::MatMulArguments& a, const Batch& batch, std::int64_t index) {
  host::MatMulArguments one = a;
  std::int64_t offsets[3] = {};
  for (int d = batch.sizes.rank() - 2; d >= 0; --d) {
    for (int o = 0; o < 3; ++o) offsets[o] += index % batch.sizes[d] * batch.strides[o][d];
    index /= batch.sizes[d];
  }
  const auto bytes = static_cast<std::int64_t>(ElementBytes(a.dtype));
  one.a = static_cast<const std::byte*>(a.a) + offsets[0] * bytes;
  one.b = static_cast<const std::byte*>(a.b) + offsets[1] * bytes;
  one.c = static_cast<std::byte*>(a.c) + offsets[2] * bytes;
  return one;
}

// Descriptors of one call.
struct Call {
  Held operation, first, second, result, preference;

  explicit Call(const CublasLtLibrary& l)
      : operation(l.MatmulDescDestroy),
        first(l.MatrixLayoutDestroy),
        second(l.MatrixLayoutDestroy),
        result(l.MatrixLayoutDestroy),
        preference(l.MatmulPreferenceDestroy) {}

  // What is stored as `rows` rows of `columns`, `leading` apart.
  static Status Describe(const CublasLtLibrary& l, Held& layout, DType dtype, std::int64_t rows, std::int64_t columns,
                         std::int64_t leading, std::int64_t batches, std::int64_t stride) {
    TIERLIB_RETURN_IF_ERROR(
        l.StatusOf(l.MatrixLayoutCreate(layout.place(), CudaType(dtype), static_cast<std::uint64_t>(columns),
                                        static_cast<std::uint64_t>(rows), std::max<std::int64_t>(leading, columns)),
                   "cublasLtMatrixLayoutCreate"));
    if (batches == 1) return OkStatus();
    const auto count = static_cast<std::int32_t>(batches);
    TIERLIB_RETURN_IF_ERROR(
        l.StatusOf(l.MatrixLayoutSetAttribute(layout.get(), kLayoutBatchCount, &count, sizeof count), "batch count"));
    return l.StatusOf(l.MatrixLayoutSetAttribute(layout.get(), kLayoutBatchStride, &stride, sizeof stride),
                      "batch stride");
  }

  Status Fill(const CublasLtLibrary& l, const host::MatMulArguments& a, std::int64_t batches,
              const std::array<std::int64_t, 3>& strides) {
    const bool wide = a.dtype == DType::kF64;
    TIERLIB_RETURN_IF_ERROR(l.StatusOf(
        l.MatmulDescCreate(operation.place(), wide ? kCompute64F : kCompute32F, wide ? kCudaR64F : kCudaR32F),
        "cublasLtMatmulDescCreate"));
    const std::pair<int, bool> transposes[] = {{kDescriptorTransposeA, a.transpose_b},
                                               {kDescriptorTransposeB, a.transpose_a}};
    for (const auto& [name, transposed] : transposes) {
      if (!transposed) continue;
      TIERLIB_RETURN_IF_ERROR(
          l.StatusOf(l.MatmulDescSetAttribute(operation.get(), name, &kTransposed, sizeof kTransposed), "transpose"));
    }
    TIERLIB_RETURN_IF_ERROR(
        Describe(l, first, a.dtype, a.transpose_b ? a.n : a.k, a.transpose_b ? a.k : a.n, a.ldb, batches, strides[1]));
    TIERLIB_RETURN_IF_ERROR(
        Describe(l, second, a.dtype, a.transpose_a ? a.k : a.m, a.transpose_a ? a.m : a.k, a.lda, batches, strides[0]));
    return Describe(l, result, a.dtype, a.m, a.n, a.ldc, batches, strides[2]);
  }
};

using Alignments = std::array<std::uint32_t, 4>;

StatusOr<CublasLtAlgorithm> Choose(const CublasLtLibrary& l, void* handle, Call& call, const Alignments& alignments,
                                   const host::MatMulArguments& a, std::uint64_t workspace_bytes) {
  TIERLIB_RETURN_IF_ERROR(
      l.StatusOf(l.MatmulPreferenceCreate(call.preference.place()), "cublasLtMatmulPreferenceCreate"));
  void* const preference = call.preference.get();
  TIERLIB_RETURN_IF_ERROR(l.StatusOf(
      l.MatmulPreferenceSetAttribute(preference, kPreferenceWorkspaceBytes, &workspace_bytes, sizeof workspace_bytes),
      "workspace"));
  TIERLIB_RETURN_IF_ERROR(l.StatusOf(l.MatmulPreferenceSetAttribute(preference, kPreferenceReductionSchemes,
                                                                    &kReduceInComputeType, sizeof kReduceInComputeType),
                                     "reduction scheme"));
  for (std::size_t i = 0; i < alignments.size(); ++i) {
    TIERLIB_RETURN_IF_ERROR(l.StatusOf(
        l.MatmulPreferenceSetAttribute(preference, kPreferenceAlignment[i], &alignments[i], sizeof alignments[i]),
        "alignment"));
  }
  CublasLtHeuristic found{};
  int count = 0;
  const CublasResult asked =
      l.MatmulAlgoGetHeuristic(handle, call.operation.get(), call.first.get(), call.second.get(), call.result.get(),
                               call.result.get(), preference, 1, &found, &count);
  if (asked == kCublasSuccess && count > 0 && found.state == kCublasSuccess) return found.algorithm;
  const char* const words = l.GetStatusString(asked);
  return UnimplementedError(std::string("cuBLASLt has no way to multiply ") + DTypeName(a.dtype) + " matrices of " +
                            std::to_string(a.m) + " x " + std::to_string(a.k) + " and " + std::to_string(a.k) + " x " +
                            std::to_string(a.n) + " here: " + (words == nullptr ? "?" : words));
}

}  // namespace

host::Target ResultOf(const host::MatMulArguments& a) {
  Layout layout;
  layout.dtype = a.dtype;
  layout.sizes = a.batch;
  layout.strides = a.batch_strides_c;
  layout.sizes.push_back(a.m);
  layout.strides.push_back(a.ldc);
  layout.sizes.push_back(a.n);
  layout.strides.push_back(1);
  return {a.c, layout};
}

CublasLt::~CublasLt() {
  if (handle_ != nullptr) (void)library_->Destroy(handle_);
}

Status CublasLt::Open() {
  if (handle_ != nullptr) return OkStatus();
  if (library_ == nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(library_, CublasLtLibrary::Load(files_));
  }
  return library_->StatusOf(library_->Create(&handle_), "cublasLtCreate");
}

Status CublasLt::Multiply(const host::MatMulArguments& a, void* stream, void* workspace, std::size_t workspace_bytes) {
  std::int64_t batches = 1;
  for (const std::int64_t size : a.batch) batches *= size;
  if (a.m == 0 || a.n == 0 || batches == 0) return OkStatus();
  const Batch batch(a);
  const int last = batch.sizes.rank() - 1;
  const std::array<std::int64_t, 3> strides = {batch.strides[0][last], batch.strides[1][last], batch.strides[2][last]};
  constexpr std::int64_t kMostAtOnce = 0x7fffffff;
  if (batch.sizes[last] > kMostAtOnce) {
    return InvalidArgumentError("a batch of " + std::to_string(batch.sizes[last]) + " products: cuBLASLt takes 2^31");
  }
  for (std::int64_t i = 0; i < batches / batch.sizes[last]; ++i) {
    TIERLIB_RETURN_IF_ERROR(
        MultiplyBatch(ProductAt(a, batch, i), batch.sizes[last], strides, stream, workspace, workspace_bytes));
  }
  return OkStatus();
}

Status CublasLt::MultiplyBatch(const host::MatMulArguments& a, std::int64_t batches,
                               const std::array<std::int64_t, 3>& strides, void* stream, void* workspace,
                               std::size_t workspace_bytes) {
  const auto bytes = static_cast<std::int64_t>(ElementBytes(a.dtype));
  const std::uint32_t of_a = Alignment(a.a, strides[0] * bytes);
  const std::uint32_t of_b = Alignment(a.b, strides[1] * bytes);
  const std::uint32_t of_c = Alignment(a.c, strides[2] * bytes);
  const Shape shape = {static_cast<std::int64_t>(a.dtype),
                       a.m,
                       a.n,
                       a.k,
                       a.lda,
                       a.ldb,
                       a.ldc,
                       a.transpose_a ? 1 : 0,
                       a.transpose_b ? 1 : 0,
                       batches,
                       strides[0],
                       strides[1],
                       strides[2],
                       std::int64_t{of_a} << 20 | std::int64_t{of_b} << 10 | std::int64_t{of_c},
                       a.beta == 0 ? 0 : 1,
                       static_cast<std::int64_t>(workspace_bytes)};
  MutexLock lock(mutex_);
  TIERLIB_RETURN_IF_ERROR(Open());
  const CublasLtLibrary& l = *library_;
  Call call(l);
  TIERLIB_RETURN_IF_ERROR(call.Fill(l, a, batches, strides));
  auto known = algorithms_.find(shape);
  if (known == algorithms_.end()) {
    TIERLIB_ASSIGN_OR_RETURN(const CublasLtAlgorithm chosen,
                             Choose(l, handle_, call, {of_b, of_a, of_c, of_c}, a, workspace_bytes));
    known = algorithms_.emplace(shape, chosen).first;
  }
  const auto alpha32 = static_cast<float>(a.alpha);
  const auto beta32 = static_cast<float>(a.beta);
  const bool wide = a.dtype == DType::kF64;
  const void* const alpha = wide ? static_cast<const void*>(&a.alpha) : &alpha32;
  const void* const beta = wide ? static_cast<const void*>(&a.beta) : &beta32;
  return l.StatusOf(
      l.Matmul(handle_, call.operation.get(), alpha, a.b, call.first.get(), a.a, call.second.get(), beta, a.c,
               call.result.get(), a.c, call.result.get(), &known->second, workspace, workspace_bytes, stream),
      "cublasLtMatmul");
}

}  // namespace tierlib::autograd::cuda
