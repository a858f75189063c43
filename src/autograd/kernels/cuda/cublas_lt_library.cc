#include "autograd/kernels/cuda/cublas_lt_library.h"

#include <dlfcn.h>

namespace tierlib::autograd::cuda {
namespace {

template <typename Function>
Status Find(void* library, const std::string& file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function != nullptr) return OkStatus();
  return UnimplementedError("cuBLASLt: " + file + " has no function " + name + ": it takes cuBLAS 11 or newer");
}

}  // namespace

std::vector<std::string> CublasLtLibrary::UsualFiles() {
  return {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", "libcublasLt.so",
          "/usr/local/cuda/lib64/libcublasLt.so"};
}

StatusOr<std::shared_ptr<const CublasLtLibrary>> CublasLtLibrary::Load(const std::vector<std::string>& files) {
  void* handle = nullptr;
  std::string file;
  std::string words;
  for (const std::string& candidate : files) {
    file = candidate;
    handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
    if (words.empty()) {
      const char* const error = ::dlerror();
      words = error == nullptr ? file : error;
    }
  }
  if (handle == nullptr) {
    return UnimplementedError("matrix products on a CUDA device take cuBLASLt, which cannot be loaded: " + words +
                              ": install it, or add its folder to LD_LIBRARY_PATH");
  }
  auto library = std::make_shared<CublasLtLibrary>();
  CublasLtLibrary& l = *library;
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtCreate", l.Create));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtDestroy", l.Destroy));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtGetStatusString", l.GetStatusString));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulDescCreate", l.MatmulDescCreate));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulDescDestroy", l.MatmulDescDestroy));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulDescSetAttribute", l.MatmulDescSetAttribute));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatrixLayoutCreate", l.MatrixLayoutCreate));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatrixLayoutDestroy", l.MatrixLayoutDestroy));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatrixLayoutSetAttribute", l.MatrixLayoutSetAttribute));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulPreferenceCreate", l.MatmulPreferenceCreate));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulPreferenceDestroy", l.MatmulPreferenceDestroy));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulPreferenceSetAttribute", l.MatmulPreferenceSetAttribute));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmulAlgoGetHeuristic", l.MatmulAlgoGetHeuristic));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "cublasLtMatmul", l.Matmul));
  return std::shared_ptr<const CublasLtLibrary>(std::move(library));
}

Status CublasLtLibrary::StatusOf(CublasResult result, const char* what) const {
  if (result == kCublasSuccess) return OkStatus();
  const char* const words = GetStatusString(result);
  return UnavailableError(std::string("cuBLASLt: ") + what + ": " + (words == nullptr ? "unknown error" : words));
}

}  // namespace tierlib::autograd::cuda
