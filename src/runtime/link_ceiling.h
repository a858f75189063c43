// LinkCeiling: what copies between the host and a device achieve at most, each way, for the header of a trace: so that
// the speed of its copies can be seen against it.
#ifndef TIERLIB_SRC_RUNTIME_LINK_CEILING_H_
#define TIERLIB_SRC_RUNTIME_LINK_CEILING_H_

#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib::internal {

struct LinkCeiling {
  std::uint64_t out_bytes_per_s = 0;  // 0: not known
  std::uint64_t in_bytes_per_s = 0;
};

// What the options say (the bandwidths of an emulated device, else DeviceOptions::copy_bytes_per_s); of a CUDA device
// that they say nothing of, what a few copies of pinned memory measure, in some tens of milliseconds. They are made on
// a device object of their own, so that nobody counts them. Not known where that fails.
LinkCeiling FindLinkCeiling(const DeviceOptions& options);

// The fastest of a few copies of `bytes` bytes each way, a multiple of the device's granularity, which it has free. The
// device's errors; DataLoss where its events tell no time.
StatusOr<LinkCeiling> MeasureLink(DeviceBackend& device, std::size_t bytes);

}  // namespace tierlib::internal

#endif  // TIERLIB_SRC_RUNTIME_LINK_CEILING_H_
