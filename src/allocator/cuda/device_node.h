// Which NUMA node of the host a CUDA device is at.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_NODE_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_NODE_H_

namespace tierlib {

// -1 where neither CUDA nor the kernel tells: a machine of one node, or a virtual one that hides them.
int NodeOfDevice(int ordinal);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_NODE_H_
