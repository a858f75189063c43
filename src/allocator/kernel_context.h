// KernelContext: what a host kernel may use. Apart from device_backend.h, as nvcc reads the headers that declare
// kernels and sees no Abseil.
#ifndef TIERLIB_SRC_ALLOCATOR_KERNEL_CONTEXT_H_
#define TIERLIB_SRC_ALLOCATOR_KERNEL_CONTEXT_H_

namespace tierlib {

class ThreadPool;

// What a host kernel may use besides its captures. Kernels allocate nothing: workspace comes from the device pool.
struct KernelContext {
  ThreadPool& pool;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_KERNEL_CONTEXT_H_
