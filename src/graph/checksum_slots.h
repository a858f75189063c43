// ChecksumSlots: where the checksums of a device without host kernels are computed and left (Options::checksums).
//
// A kernel adds its parts up in one word of device memory, of which there is a ring, and leaves the checksum in a slot
// of pinned memory, where the host reads it whenever a value comes back.
//
//   I1  a word of the ring is used again only after the work that used it before
//   I2  a slot is used again only once the work that writes it is known to have ended
//   I3  more pinned memory is taken only where work that has not ended writes every slot that is not taken
//
// Thread-safety: Take and Launch are guarded by the store's lock; what Take returned may be dropped on any thread.
#ifndef TIERLIB_SRC_GRAPH_CHECKSUM_SLOTS_H_
#define TIERLIB_SRC_GRAPH_CHECKSUM_SLOTS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "graph/cuda/checksum.h"
#include "graph/snapshot.h"
#include "storage/device_tier.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib {

class ChecksumSlots {
 public:
  // Enqueues what ChecksumCuda does.
  using Kernel = std::function<Status(const ChecksumLaunch&, Stream)>;
  // REQUIRES: `tier` outlives the slots, and they what Take returned.
  explicit ChecksumSlots(DeviceTier& tier, Kernel kernel = ChecksumCuda) : tier_(tier), kernel_(std::move(kernel)) {}
  // Waits for the kernels.
  ~ChecksumSlots();
  ChecksumSlots(const ChecksumSlots&) = delete;
  ChecksumSlots& operator=(const ChecksumSlots&) = delete;

  // One that has no value yet. ResourceExhausted where pinned memory has no room for more of them.
  StatusOr<std::shared_ptr<DeviceChecksum>> Take();
  // Enqueues a look at the bytes: the first notes their checksum, a further one whether it is another. `checksum` is
  // one of ours.
  Status Launch(const ByteRanges& bytes, const DeviceBuffer& buffer, DeviceChecksum& checksum, Stream stream);

 private:
  static constexpr std::size_t kRing = 1024;
  static constexpr std::size_t kSlotsAtOnce = 256;

  DeviceChecksum* TakeIdle();         // null where no slot that came back is known to be free
  Status Grow();                      // REQUIRES: none is fresh
  void Return(DeviceChecksum* slot);  // allocates nothing
  bool HasEnded(const DeviceChecksum* slot);

  DeviceTier& tier_;
  const Kernel kernel_;
  std::unique_ptr<DeviceBuffer> sums_;  // the ring
  std::array<MarkRef, kRing> sum_used_;
  std::uint64_t next_sum_ = 0;
  std::vector<std::shared_ptr<HostBuffer>> slabs_;
  absl::flat_hash_map<const DeviceChecksum*, MarkRef> used_;  // by slot
  std::vector<DeviceChecksum*> fresh_;                        // were never taken
  Mutex mutex_;
  std::vector<DeviceChecksum*> idle_ ABSL_GUARDED_BY(mutex_);  // has room for every slot
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_CHECKSUM_SLOTS_H_
