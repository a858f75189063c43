// FaultyDevice: a device as another one is, but for the faults that a plan injects. See tierlib/faults.h.
//
// Thread-safety: as every device.
#ifndef TIERLIB_SRC_ALLOCATOR_FAULTY_DEVICE_H_
#define TIERLIB_SRC_ALLOCATOR_FAULTY_DEVICE_H_

#include <memory>

#include "allocator/device_backend.h"
#include "tierlib/faults.h"

namespace tierlib {

// A failure comes before the call reaches `device`: then nothing of it has happened. Giving back, synchronizing and
// asking never fail by a plan.
std::unique_ptr<DeviceBackend> MakeFaultyDevice(std::unique_ptr<DeviceBackend> device, std::shared_ptr<Faults> faults);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FAULTY_DEVICE_H_
