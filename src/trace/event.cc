#include "trace/event.h"

namespace tierlib::trace {

const char* EventName(Event event) {
  switch (event) {
#define TIERLIB_EVENT(name, code, text, subject, value, detail) \
  case Event::k##name:                                          \
    return text;
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
  }
  return "?";
}

bool IsKnownEvent(std::uint8_t code) {
  switch (static_cast<Event>(code)) {
#define TIERLIB_EVENT(name, number, text, subject, value, detail) \
  case Event::k##name:                                            \
    return true;
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
  }
  return false;
}

const char* TagName(Tag tag) {
  switch (tag) {
    case Tag::kNone: return "untagged";
    case Tag::kParameter: return "parameters";
    case Tag::kGradient: return "gradients";
    case Tag::kOptimizer: return "optimizer";
    case Tag::kActivation: return "activations";
    case Tag::kSaved: return "saved";
    case Tag::kReload: return "reloads";
    case Tag::kWorkspace: return "workspace";
    case Tag::kClient: return "client";
  }
  return "?";
}

std::optional<Tag> FindTag(std::string_view name) {
  for (std::size_t i = 0; i < kTagCount; ++i) {
    if (name == TagName(static_cast<Tag>(i))) return static_cast<Tag>(i);
  }
  return std::nullopt;
}

const char* StallCauseName(StallCause cause) {
  switch (cause) {
    case StallCause::kAllocation: return "allocation";
    case StallCause::kCopyOutTail: return "tail of a copy out";
    case StallCause::kLateCopyIn: return "late copy in";
    case StallCause::kWriteFence: return "write fence";
    case StallCause::kHostPool: return "host pool";
    case StallCause::kProducer: return "work on another stream";
    case StallCause::kDisk: return "disk";
    case StallCause::kContention: return "contention";
    case StallCause::kChecksum: return "checksum";
  }
  return "?";
}

const char* DecisionActionName(DecisionAction action) {
  switch (action) {
    case DecisionAction::kKeep: return "kept";
    case DecisionAction::kMove: return "moved";
    case DecisionAction::kReference: return "identity";
    case DecisionAction::kReplay: return "lineage";
    case DecisionAction::kFreesNothing: return "frees nothing";
    case DecisionAction::kRecompute: return "recompute";
  }
  return "?";
}

const char* DecisionReasonName(DecisionReason reason) {
  switch (reason) {
    case DecisionReason::kMode: return "mode";
    case DecisionReason::kPolicy: return "policy";
    case DecisionReason::kTooSmall: return "too small";
    case DecisionReason::kHostFull: return "host full";
    case DecisionReason::kPersistent: return "persistent";
    case DecisionReason::kSameStorage: return "same storage";
    case DecisionReason::kLineage: return "lineage";
    case DecisionReason::kMemoryShort: return "memory short";
    case DecisionReason::kCheaper: return "cheaper";
    case DecisionReason::kClaimed: return "claimed";
    case DecisionReason::kPeak: return "peak";
    case DecisionReason::kScattered: return "scattered";
  }
  return "?";
}

const char* TierCodeName(TierCode tier) {
  switch (tier) {
    case TierCode::kDevice: return "device";
    case TierCode::kPinned: return "pinned";
    case TierCode::kPageable: return "pageable";
    case TierCode::kFile: return "file";
  }
  return "?";
}

}  // namespace tierlib::trace
