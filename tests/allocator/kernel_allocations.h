// Counts the allocations that emulated kernels make: kernels are to allocate nothing, workspace comes from the device
// pool. Linking tierlib_kernel_allocations into a test replaces its operator new.
#ifndef TIERLIB_TESTS_ALLOCATOR_KERNEL_ALLOCATIONS_H_
#define TIERLIB_TESTS_ALLOCATOR_KERNEL_ALLOCATIONS_H_

#include <cstdint>

namespace tierlib {

// Calls of operator new made so far by threads that executed an emulated kernel, in this process.
std::uint64_t EmulatedKernelAllocations();

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_KERNEL_ALLOCATIONS_H_
