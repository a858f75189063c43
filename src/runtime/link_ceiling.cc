#include "runtime/link_ceiling.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>

#include "allocator/device_factory.h"
#include "base/round_up.h"
#include "tierlib/bytes.h"

namespace tierlib::internal {
namespace {

constexpr std::size_t kProbeBytes = MiB(16);  // long beside what a copy takes to begin
constexpr int kCopies = 4;                    // each way; the first one warms up

// What a measurement has of a device and of the host. Gives all of it back; errors there tell nobody anything.
class Probe {
 public:
  Probe(DeviceBackend& device, std::size_t bytes) : device_(device), bytes_(bytes) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() {
    if (begin_ != 0) device_.DestroyEvent(begin_);
    if (end_ != 0) device_.DestroyEvent(end_);
    if (has_stream_) (void)device_.DestroyStream(stream_);  // waits for its work
    if (is_pinned_) (void)device_.UnpinHost(host_, bytes_);
    if (host_ != nullptr) munmap(host_, bytes_);
    if (memory_ != nullptr) (void)device_.Release(memory_, bytes_);
  }

  Status Prepare() {
    TIERLIB_ASSIGN_OR_RETURN(memory_, device_.Reserve(bytes_));
    void* const host = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED) return Status(StatusCode::kResourceExhausted);
    host_ = host;
    memset(host_, 0, bytes_);
    TIERLIB_RETURN_IF_ERROR(device_.PinHost(host_, bytes_));
    is_pinned_ = true;
    TIERLIB_ASSIGN_OR_RETURN(stream_, device_.CreateStream("tierlib link"));
    has_stream_ = true;
    TIERLIB_ASSIGN_OR_RETURN(begin_, device_.CreateEvent());
    TIERLIB_ASSIGN_OR_RETURN(end_, device_.CreateEvent());
    // A first copy in gives the device's memory bytes to be copied out.
    return Copy(CopyDirection::kHostToDevice);
  }

  // Of the fastest copy, in bytes per second.
  StatusOr<std::uint64_t> Measure(CopyDirection direction) {
    std::int64_t least_ns = 0;
    for (int i = 0; i < kCopies; ++i) {
      TIERLIB_RETURN_IF_ERROR(Copy(direction));
      const std::int64_t ns = device_.EventTimeNs(end_) - device_.EventTimeNs(begin_);
      if (ns > 0 && (least_ns == 0 || ns < least_ns)) least_ns = ns;
    }
    if (least_ns == 0) return DataLossError(device_.info().name + " tells no time of its copies");
    return static_cast<std::uint64_t>(static_cast<double>(bytes_) * 1e9 / static_cast<double>(least_ns));
  }

 private:
  Status Copy(CopyDirection direction) {
    const bool out = direction == CopyDirection::kDeviceToHost;
    const CopyRun run = {out ? host_ : memory_, out ? memory_ : host_, bytes_};
    TIERLIB_RETURN_IF_ERROR(device_.RecordEvent(begin_, stream_));
    TIERLIB_RETURN_IF_ERROR(device_.Copy({&run, 1}, direction, stream_));
    TIERLIB_RETURN_IF_ERROR(device_.RecordEvent(end_, stream_));
    TIERLIB_RETURN_IF_ERROR(device_.SynchronizeEvent(begin_));
    return device_.SynchronizeEvent(end_);
  }

  DeviceBackend& device_;
  const std::size_t bytes_;
  void* memory_ = nullptr;
  void* host_ = nullptr;
  bool is_pinned_ = false;
  Stream stream_;
  bool has_stream_ = false;
  EventId begin_ = 0;
  EventId end_ = 0;
};

// 0 of what is not positive, or no number of bytes.
std::uint64_t Rate(double bytes_per_s) {
  return bytes_per_s >= 1 && bytes_per_s < 1e18 ? static_cast<std::uint64_t>(bytes_per_s) : 0;
}

}  // namespace

StatusOr<LinkCeiling> MeasureLink(DeviceBackend& device, std::size_t bytes) {
  Probe probe(device, bytes);
  TIERLIB_RETURN_IF_ERROR(probe.Prepare());
  LinkCeiling ceiling;
  TIERLIB_ASSIGN_OR_RETURN(ceiling.out_bytes_per_s, probe.Measure(CopyDirection::kDeviceToHost));
  TIERLIB_ASSIGN_OR_RETURN(ceiling.in_bytes_per_s, probe.Measure(CopyDirection::kHostToDevice));
  return ceiling;
}

LinkCeiling FindLinkCeiling(const DeviceOptions& options) try {
  const std::uint64_t said = Rate(options.copy_bytes_per_s);
  if (options.kind == DeviceKind::kEmulated) {
    const std::uint64_t out = Rate(options.emulated.copy_out_bytes_per_s);
    const std::uint64_t in = Rate(options.emulated.copy_in_bytes_per_s);
    return {out != 0 ? out : said, in != 0 ? in : said};
  }
  if (said != 0) return {said, said};
  DeviceOptions probed = options;
  probed.capacity = 2 * kProbeBytes;
  probed.faults = nullptr;
  if (probed.backing == DeviceBacking::kMallocAsync) probed.backing = DeviceBacking::kMalloc;
  const StatusOr<std::unique_ptr<DeviceBackend>> device = MakeDevice(probed);
  if (!device.ok()) return {};
  const StatusOr<LinkCeiling> measured = MeasureLink(**device, RoundUpTo(kProbeBytes, (*device)->info().granularity));
  return measured.ok() ? *measured : LinkCeiling();
} catch (const std::bad_alloc&) {
  return {};
}

}  // namespace tierlib::internal
