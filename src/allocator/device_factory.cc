#include "allocator/device_factory.h"

#include <string>
#include <utility>

#include "allocator/cuda/cuda_device.h"
#include "allocator/emulated/emulated_device.h"
#include "allocator/faulty_device.h"
#include "allocator/race_checked_device.h"

namespace tierlib {
namespace {

StatusOr<std::unique_ptr<DeviceBackend>> MakeKind(const DeviceOptions& options) {
  switch (options.kind) {
    case DeviceKind::kEmulated: return MakeEmulatedDevice(options);
    case DeviceKind::kCuda: return MakeCudaDevice(options);
  }
  return InvalidArgumentError("device " + std::to_string(options.device) + ": unknown kind");
}

}  // namespace

StatusOr<std::unique_ptr<DeviceBackend>> MakeDevice(const DeviceOptions& options) {
  if (options.device < 0) {
    return InvalidArgumentError("device " + std::to_string(options.device) + ": devices are numbered from 0");
  }
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBackend> device, MakeKind(options));
  if (options.faults != nullptr) device = MakeFaultyDevice(std::move(device), options.faults);
  // Outermost: what counts is what the program was told.
  if (options.kind == DeviceKind::kEmulated && options.emulated.find_races) {
    device = MakeRaceCheckedDevice(std::move(device));
  }
  return device;
}

bool CudaDevicePresent(int device) { return device >= 0 && device < CudaDeviceCount(); }

}  // namespace tierlib
