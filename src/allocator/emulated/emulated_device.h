// The emulated device: a device on plain memory, as asynchronous and as strict as a GPU. See docs/design.md.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_EMULATED_DEVICE_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_EMULATED_DEVICE_H_

#include <memory>

#include "allocator/device_backend.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib {

// InvalidArgument names the option that cannot hold; ResourceExhausted where the address space does not hold the
// capacity. The device has no stream until CreateStream. Calls from inside a kernel are FailedPrecondition, as on a
// GPU. Destroying the device runs what is enqueued.
StatusOr<std::unique_ptr<DeviceBackend>> MakeEmulatedDevice(const DeviceOptions& options);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_EMULATED_DEVICE_H_
