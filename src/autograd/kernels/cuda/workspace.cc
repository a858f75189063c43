#include "autograd/kernels/cuda/workspace.h"

#include "autograd/kernels/cuda/launches.h"

namespace tierlib::autograd::cuda {
namespace {

// Those without a function of their own.
template <typename Arguments>
std::size_t WorkspaceBytes(const Arguments&) {
  return 0;
}

}  // namespace

std::size_t KernelWorkspaceBytes(const KernelArguments& arguments) {
  return std::visit([](const auto& a) { return WorkspaceBytes(a); }, arguments);
}

}  // namespace tierlib::autograd::cuda
