// StreamLabels: what a pool's trace records name streams by, as labels of the recorder (trace/stream_text.h).
//
// A stream's number is asked for once, as far as its handle stands for the same stream meanwhile: a stream of the
// device's own, until one of them is destroyed.
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_STREAM_LABELS_H_
#define TIERLIB_SRC_ALLOCATOR_STREAM_LABELS_H_

#include <cstdint>
#include <map>

#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "tierlib/stream.h"
#include "trace/recorder.h"

namespace tierlib {

class StreamLabels {
 public:
  // `recorder` may be null: then every label is 0. Both outlive this.
  StreamLabels(DeviceBackend& device, trace::Recorder* recorder) : device_(device), recorder_(recorder) {}

  // 0 for no streams, for streams that are gone, and where memory is missing.
  std::uint32_t Of(absl::Span<const Stream> streams) { return recorder_ == nullptr ? 0 : Find(streams); }
  std::uint32_t Of(Stream stream) { return Of({&stream, 1}); }

 private:
  struct Known {
    std::uint64_t number = 0;
    std::uint64_t destroyed = 0;  // of the device's streams, when the number was looked up
    bool own = false;             // the device's
    std::uint32_t label = 0;      // of this stream alone
  };
  std::uint32_t Find(absl::Span<const Stream> streams);
  const Known* Look(Stream stream);  // null where it is gone

  DeviceBackend& device_;
  trace::Recorder* const recorder_;
  std::map<std::uintptr_t, Known> known_;  // by handle
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_STREAM_LABELS_H_
