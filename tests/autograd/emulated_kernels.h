// EmulatedKernels: the CUDA kernels as the device kernels of an emulated device, in stream order, so that ops, tapes
// and training steps go the way that they go on a GPU. Matrix products go to a cuBLASLt on the host
// (fake_cublas_lt.cc).
#ifndef TIERLIB_TESTS_AUTOGRAD_EMULATED_KERNELS_H_
#define TIERLIB_TESTS_AUTOGRAD_EMULATED_KERNELS_H_

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>

#include "autograd/context.h"
#include "autograd/kernels/cuda/cublas_lt.h"
#include "autograd/kernels/cuda/launches.h"
#include "autograd/kernels/cuda/workspace.h"
#include "base/check.h"
#include "base/cuda/sequential_grid.h"

namespace tierlib::autograd {

// A grid whose kernels are enqueued, by value as on a device.
class EmulatedGrid {
 public:
  EmulatedGrid(DeviceBackend& device, Stream stream) : device_(device), stream_(stream) {}
  const DeviceLimits& limits() const { return limits_; }

  template <class Kernel>
  Status Run(const Kernel& kernel, int blocks, std::size_t shared_bytes = sizeof(typename Kernel::Shared)) {
    HostKernel launch;
    launch.name = "a kernel for CUDA";
    launch.run = [kernel, blocks, shared_bytes, limits = limits_](KernelContext&) {
      TIERLIB_CHECK(SequentialGrid(limits).Run(kernel, blocks, shared_bytes).ok(), "a grid that does not run");
    };
    return device_.Launch(stream_, std::move(launch));
  }

 private:
  DeviceBackend& device_;
  Stream stream_;
  DeviceLimits limits_{4, 36 * 1024};  // small tiles: tests are small
};

class EmulatedKernels : public DeviceKernels {
 public:
  static constexpr std::size_t kProductWorkspace = 4096;

  // `cublas`: the file of the fake.
  EmulatedKernels(DeviceBackend& device, const char* cublas)
      : device_(device), cublas_(std::make_shared<cuda::CublasLt>(std::vector<std::string>{cublas})) {}

  std::size_t WorkspaceBytes(const KernelArguments& arguments) const override {
    if (std::holds_alternative<host::MatMulArguments>(arguments)) return kProductWorkspace;
    return cuda::KernelWorkspaceBytes(arguments);
  }

  Status Enqueue(Stream stream, const KernelArguments& arguments, void* workspace) override {
    ++launches;
    return std::visit(
        [&](const auto& a) -> Status {
          if constexpr (std::is_same_v<std::decay_t<decltype(a)>, host::MatMulArguments>) {
            return Multiply(stream, a, workspace);
          } else {
            EmulatedGrid grid(device_, stream);
            return cuda::Run(grid, a, workspace);
          }
        },
        arguments);
  }

  int launches = 0;

 private:
  Status Multiply(Stream stream, const host::MatMulArguments& a, void* workspace) {
    HostKernel launch;
    launch.name = "a product";
    launch.run = [cublas = cublas_, a, workspace](KernelContext&) {
      const Status status = cublas->Multiply(a, nullptr, workspace, kProductWorkspace);
      EXPECT_TRUE(status.ok()) << status;
    };
    return device_.Launch(stream, std::move(launch));
  }

  DeviceBackend& device_;
  const std::shared_ptr<cuda::CublasLt> cublas_;
};

// Makes the context one of a device that takes no host kernels: kernels and uploads go the device's way.
inline std::shared_ptr<EmulatedKernels> UseCudaKernels(Context& context, const char* cublas) {
  Context::State& state = context.state();
  auto kernels = std::make_shared<EmulatedKernels>(*state.backend, cublas);
  state.kernels = kernels;
  state.uploads = std::make_unique<UploadBuffers>(*state.backend, state.stream);
  return kernels;
}

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_AUTOGRAD_EMULATED_KERNELS_H_
