// DeviceKernels on CUDA: its own kernels (enqueue.h), and cuBLASLt for matrix products.
#include "autograd/kernels/cuda/cublas_lt.h"
#include "autograd/kernels/cuda/enqueue.h"
#include "autograd/kernels/cuda/workspace.h"
#include "autograd/kernels/device_kernels.h"

namespace tierlib::autograd {
namespace {

class CudaKernels : public DeviceKernels {
 public:
  std::size_t WorkspaceBytes(const KernelArguments& arguments) const override {
    if (std::holds_alternative<host::MatMulArguments>(arguments)) return cuda::kMatMulWorkspaceBytes;
    return cuda::KernelWorkspaceBytes(arguments);
  }

  Status Enqueue(Stream stream, const KernelArguments& arguments, void* workspace) override {
    if (const auto* const product = std::get_if<host::MatMulArguments>(&arguments)) {
      return MultiplyOn(stream, *product, workspace);
    }
    return std::visit(
        [&](const auto& a) -> Status {
          if constexpr (!std::is_same_v<std::decay_t<decltype(a)>, host::MatMulArguments>) {
            return cuda::Enqueue(stream, a, workspace);
          }
          return OkStatus();
        },
        arguments);
  }

 private:
  Status MultiplyOn(Stream stream, const host::MatMulArguments& a, void* workspace) {
    if (a.k == 0) {  // nothing is added up
      const host::Target c = cuda::ResultOf(a);
      if (a.beta == 0) return cuda::Enqueue(stream, host::FillArguments{.value = 0, .y = c}, nullptr);
      return cuda::Enqueue(
          stream,
          host::UnaryArguments{
              .op = host::UnaryOp::kMulScalar, .c0 = a.beta, .x = host::Source{c.data, c.layout}, .y = c},
          nullptr);
    }
    return cublas_.Multiply(a, reinterpret_cast<void*>(stream.handle), workspace, cuda::kMatMulWorkspaceBytes);
  }

  cuda::CublasLt cublas_;
};

}  // namespace

std::shared_ptr<DeviceKernels> MakeCudaKernels() { return std::make_shared<CudaKernels>(); }

}  // namespace tierlib::autograd
