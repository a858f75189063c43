// Copying elements between two layouts on the device: the closed set of data movements that tierlib can replay by
// itself (contiguous, clone, copying reshape are all this one operation).
//
// Thread-safety: as DeviceBackend.
#ifndef TIERLIB_SRC_GRAPH_DATA_MOVEMENT_H_
#define TIERLIB_SRC_GRAPH_DATA_MOVEMENT_H_

#include "allocator/device_backend.h"
#include "graph/cuda/strided_copy.h"
#include "tierlib/status.h"
#include "tierlib/view.h"

namespace tierlib {

// Enqueues: for every index, the element of `destination` becomes that of `source`. Bases are the addresses of byte 0
// of the storages as the layouts count them. Dimensions that repeat in the destination (stride 0) are written once.
// REQUIRES: equal sizes and dtypes; the bytes written do not overlap the bytes read.
Status LaunchStridedCopy(DeviceBackend& device, Stream stream, void* destination_base, const Layout& destination,
                         const void* source_base, const Layout& source);

// The same copy as one launch of a device that runs no host kernels: the fewest dimensions, in words that both
// addresses are multiples of. REQUIRES: as above, and at least one element.
StridedCopy PlanDeviceCopy(void* destination_base, const Layout& destination, const void* source_base,
                           const Layout& source);

// The layout with the same sizes whose elements lie in row-major order from byte 0 without gaps.
Layout PackedLayout(const Layout& layout);

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_DATA_MOVEMENT_H_
