// A decorator of a device that tells races (allocator/race_check.h) between the work that is enqueued on it.
//
// It sees what goes through the device: copies, fills, what host kernels say they access, blocks that pools hand out
// and take back (handing out counts as a write of the whole block), and memory that is given back to the system. It
// does not see native kernels, nor what the host reads and writes by itself.
#ifndef TIERLIB_SRC_ALLOCATOR_RACE_CHECKED_DEVICE_H_
#define TIERLIB_SRC_ALLOCATOR_RACE_CHECKED_DEVICE_H_

#include <memory>

#include "allocator/device_backend.h"

namespace tierlib {

// The first race is health()'s error, and from then on that of every wait and query, as in strict mode.
std::unique_ptr<DeviceBackend> MakeRaceCheckedDevice(std::unique_ptr<DeviceBackend> device);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_RACE_CHECKED_DEVICE_H_
