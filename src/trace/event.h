// Event: the kinds of trace records, derived from events.def. Record: one of them as it stands in the file.
#ifndef TIERLIB_SRC_TRACE_EVENT_H_
#define TIERLIB_SRC_TRACE_EVENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tierlib::trace {

enum class Event : std::uint8_t {
#define TIERLIB_EVENT(name, code, text, subject, value, detail) k##name = code,
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
};

// Which part of a program holds or moves bytes.
enum class Tag : std::uint8_t {
  kNone,
  kParameter,
  kGradient,
  kOptimizer,
  kActivation,
  kSaved,
  kReload,
  kWorkspace,
  kClient,
};
inline constexpr std::size_t kTagCount = 9;
const char* TagName(Tag tag);
std::optional<Tag> FindTag(std::string_view name);  // the reverse

// Why a stream of the program had to wait, or the host did.
enum class StallCause : std::uint8_t {
  kAllocation,   // memory that work of another stream still used, or that there was none of
  kCopyOutTail,  // memory that was still being copied out
  kLateCopyIn,
  kWriteFence,  // what it was to write was still being read, by a copy out or on another stream
  kHostPool,    // the host: memory of its own that was not there yet
  kProducer,    // work on another stream that makes what it was to read
  kDisk,        // the host: reads of a file
  kContention,  // the host: copies of others, which the cap on bytes in flight lets end first
  kChecksum,    // the host: checksums, and the work that takes them
};
inline constexpr std::size_t kStallCauseCount = 9;
const char* StallCauseName(StallCause cause);

// What was decided about a packed value (Decision's detail is action * 256 + reason). Bytes of each action are booked
// apart.
enum class DecisionAction : std::uint8_t {
  kKeep,          // left on the device
  kMove,          // copied to the host
  kReference,     // avoided by identity: the host has these bytes already
  kReplay,        // avoided by lineage: made again from bytes that the host has
  kFreesNothing,  // avoided: the storage stays on the device whatever happens
  kRecompute,     // avoided: computed again by the program
};
inline constexpr std::size_t kDecisionActionCount = 6;
const char* DecisionActionName(DecisionAction action);

enum class DecisionReason : std::uint8_t {
  kMode,
  kPolicy,
  kTooSmall,
  kHostFull,
  kPersistent,
  kSameStorage,
  kLineage,
  kMemoryShort,
  kCheaper,  // than a copy out and in
  kClaimed,  // by a checkpointed region of the program
  kPeak,     // moving it lowers the peak of the step before to its target; where it is kept: would not lower it further
  kScattered,  // its bytes lie in more ranges than a copy is made of
};
inline constexpr std::size_t kDecisionReasonCount = 12;
const char* DecisionReasonName(DecisionReason reason);

constexpr std::uint16_t DecisionDetail(DecisionAction action, DecisionReason reason) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(action) * 256 + static_cast<unsigned>(reason));
}

// Codes of "Tier" and "CopyDirection" in the event table, as the layers above number them (tests/trace holds them
// together).
enum class TierCode : std::uint8_t { kDevice, kPinned, kPageable, kFile };
inline constexpr std::size_t kTierCodeCount = 4;
inline constexpr std::uint16_t kNoTier = 255;
inline constexpr std::uint16_t kRecomputedInstead = 254;  // of a tier: the program computes the bytes again
const char* TierCodeName(TierCode tier);
enum class DirectionCode : std::uint8_t { kOut, kIn, kWithin };  // device to host, host to device, device to device
inline constexpr std::size_t kDirectionCodeCount = 3;

// Which copies a program makes in pieces, each of which can be waited for, and which it enqueues as one: what tells
// copies that may overlap from those that may not.
struct CopyLimits {
  std::uint64_t piece_bytes = 0;  // a copy of more is made in pieces, of so many bytes or more; 0: none is
  std::uint64_t batch_bytes = 0;  // copies out enqueued as one are of so many bytes together at most; 0: none are
};

// 32 bytes, little endian, as written to the file.
struct Record {
  std::int64_t time_ns = 0;
  Event event = Event::kStepBegin;
  Tag tag = Tag::kNone;
  std::uint16_t detail = 0;
  std::uint32_t label = 0;
  std::uint64_t subject = 0;
  std::uint64_t value = 0;
};
static_assert(sizeof(Record) == 32);

// "transfer begin"; "?" for a code that this version does not know.
const char* EventName(Event event);
bool IsKnownEvent(std::uint8_t code);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_EVENT_H_
