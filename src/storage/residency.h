// Residency: where the bytes of a storage's snapshot are. An enum and the table of legal changes; every change goes
// through Residence::MoveTo, which checks the table and records the change in the trace.
#ifndef TIERLIB_SRC_STORAGE_RESIDENCY_H_
#define TIERLIB_SRC_STORAGE_RESIDENCY_H_

#include <cstdint>

#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {

enum class Residency : std::uint8_t {
  kDevice,   // on the device only
  kLeaving,  // a copy out is enqueued and not known to have ended; the device bytes may already be given back in stream
             // order
  kBoth,     // on the device and whole on the host
  kHost,     // on the host only
  kReplayable,  // nowhere: made again when needed, from another storage or by the program alone
  kReplayed,    // made again on the device; can be dropped and made again
  kLost,        // a copy failed: reading is DataLoss
};

const char* ResidencyName(Residency residency);
bool IsLegalChange(Residency from, Residency to);

// The residency of one snapshot. Not synchronised: its store's lock guards it.
class Residence {
 public:
  Residency state() const { return state_; }
  // Aborts on a change that the table does not have: our own state would be corrupt.
  void MoveTo(Residency next, StorageId storage, std::uint64_t bytes, trace::Recorder* recorder);

 private:
  Residency state_ = Residency::kDevice;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_RESIDENCY_H_
