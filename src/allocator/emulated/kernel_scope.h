// KernelScope: marks the threads that execute an emulated kernel, so that a test can count what kernels allocate and
// the device can refuse calls made from inside one. (Kernels allocate only from the device pool; see device_backend.h.)
//
// Thread-safety: the mark belongs to the calling thread.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_KERNEL_SCOPE_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_KERNEL_SCOPE_H_

namespace tierlib::emulated {

class KernelScope {
 public:
  KernelScope();
  ~KernelScope();
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

  // Marks the calling thread for good: a thread of the kernels' pool, which does nothing else.
  static void MarkThread();

  // True on a thread that executes a kernel now. Allocates nothing, so a replaced operator new may call it.
  static bool Active();
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_KERNEL_SCOPE_H_
