// Shortage: why memory of a tier that was asked for was not there, as figures and as one line.
#ifndef TIERLIB_SHORTAGE_H_
#define TIERLIB_SHORTAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/stream.h"
#include "tierlib/tier.h"

namespace tierlib {

// One request that stayed without memory, and the tier as it was once everything had been tried: what may move had
// moved, what was about to end had ended. All in bytes.
struct Shortage {
  enum class Reason : std::uint8_t {
    kCapacity,          // fewer bytes are free than were asked for
    kFragmentation,     // enough are free, but not in one piece, or not at the alignment
    kTagLimit,          // the limit of the request's tag leaves too little (Options::tag_limits)
    kDeviceMemory,      // the capacity holds it, but the device itself (of a host tier, the system) has no memory left
    kOtherDevices,      // of a host tier: with what other devices hold of its limit, fewer bytes are free
    kProgramAllocator,  // DeviceOptions::allocator gave none; the figures are those of tierlib's own pool beside it
  };
  struct Holder {
    std::string name;
    std::uint64_t bytes = 0;
  };
  struct Pin {
    Stream stream;
    std::uint64_t bytes = 0;
  };

  Reason reason = Reason::kCapacity;
  std::string device_name;  // "emulated:0", "NVIDIA H100 ..."; of a host tier, the device that its memory serves
  Tier tier = Tier::kDevice;
  int device = 0;
  std::string tag;              // what the request would have been booked under
  std::uint64_t asked = 0;      // as it was asked for
  std::uint64_t alignment = 0;  // asked for beyond the device's own; 0: none
  std::uint64_t capacity = 0;
  std::uint64_t live = 0;           // rounding included
  std::uint64_t other_devices = 0;  // of a host tier, what other devices hold of the capacity
  std::uint64_t free = 0;           // capacity - live - other_devices
  std::uint64_t largest_hole = 0;   // the unused end counts as one
  std::uint64_t pending = 0;        // of `free`, what work enqueued before it was freed may still use; keeps nobody out
  std::vector<Pin> streams;         // whose work that is; bytes that several streams hold count for each
  std::vector<Holder> tags;         // what is live, most first
  std::vector<Holder> labels;       // of storages that are registered, most first
  std::uint64_t saved = 0;          // held by saved values that may not or cannot move
  std::uint64_t leased = 0;         // of these, because the program has them: a storage not retired, or a Loaded
  std::uint64_t reserved = 0;       // taken from the device, or from the system
  std::uint64_t tag_limit = 0;      // for kTagLimit

  // Each alone would have been enough; 0 where it would not have helped.
  std::uint64_t more_capacity = 0;     // that much more of it, or of the tag's limit
  std::uint64_t less_live = 0;         // the fewest bytes that had to be free besides, where they lie (of the tag)
  std::vector<Holder> less_live_tags;  // what those bytes hold, most first
  std::uint64_t least_change = 0;      // the smaller of the two; 0 where neither would have helped
  std::string advice;                  // the two in words

  // "emulated:0 is full: asked 2 MiB, free 1 MiB of 4 MiB, largest hole 1 MiB; ..."
  std::string ToString() const;
};

}  // namespace tierlib

#endif  // TIERLIB_SHORTAGE_H_
