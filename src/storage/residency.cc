#include "storage/residency.h"

#include <string>

#include "base/check.h"

namespace tierlib {
namespace {

constexpr int kStates = 7;

// Rows: from. Columns: to, in the enum's order: Device Leaving Both Host Replayable Replayed Lost.
constexpr bool kLegal[kStates][kStates] = {
    // D  L  B  H  Rb Rd X
    {0, 1, 0, 0, 1, 1, 1},  // kDevice: copied out; or found to be replayable, with or without its device bytes
    {1, 1, 1, 1, 0, 0,
     1},  // kLeaving: copy ended with or without the device bytes; more is copied; host was full for the rest
    {0, 1, 0, 1, 0, 0, 1},  // kBoth: device bytes dropped; more of the storage is needed and copied
    {0, 1, 1, 0, 0, 0, 1},  // kHost: reloaded; more of the storage is needed and copied
    {0, 1, 0, 0, 0, 1, 1},  // kReplayable: made again; copied after all when more is needed than the replay gives
    {1, 1, 0, 0, 1, 0, 1},  // kReplayed: dropped again; or its source is about to be written
    {0, 0, 0, 0, 0, 0, 0},  // kLost: for good
};

}  // namespace

const char* ResidencyName(Residency residency) {
  switch (residency) {
    case Residency::kDevice: return "device";
    case Residency::kLeaving: return "leaving";
    case Residency::kBoth: return "both";
    case Residency::kHost: return "host";
    case Residency::kReplayable: return "replayable";
    case Residency::kReplayed: return "replayed";
    case Residency::kLost: return "lost";
  }
  return "?";
}

bool IsLegalChange(Residency from, Residency to) { return kLegal[static_cast<int>(from)][static_cast<int>(to)]; }

void Residence::MoveTo(Residency next, StorageId storage, std::uint64_t bytes, trace::Recorder* recorder) {
  if (!IsLegalChange(state_, next)) {
    const std::string message =
        std::string("residency cannot go from ") + ResidencyName(state_) + " to " + ResidencyName(next);
    internal::CheckFailed(__FILE__, __LINE__, "IsLegalChange(from, to)", message.c_str());
  }
  trace::Write(recorder, trace::Event::kResidency, trace::Tag::kSaved,
               static_cast<std::uint16_t>(static_cast<int>(state_) * 256 + static_cast<int>(next)), 0,
               storage.ToInteger(), bytes);
  state_ = next;
}

}  // namespace tierlib
