// RoomRequest: how far the search for room for one piece of device memory has come.
//
// Thread-safety: none; one call of the store owns it, and touches it under the store's lock.
#ifndef TIERLIB_SRC_GRAPH_ROOM_REQUEST_H_
#define TIERLIB_SRC_GRAPH_ROOM_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "storage/device_tier.h"
#include "trace/event.h"

namespace tierlib {

// A way through the saved values that may be given up, in the order in which they go: those that backward needs last
// first. It begins at the front again for as long as some went: what one gives up may be what another can be made from.
struct Eviction {
  bool reloads_only = false;      // what came back alone: the host has it too, or a replay makes it again
  bool adopted = false;           // memory of the program as well
  std::optional<trace::Tag> tag;  // blocks of this one alone
  std::uint64_t next = 0;         // pack order from which the way goes on
  bool evicted = false;           // some, since it was at the front
};

struct RoomRequest {
  DeviceTier& tier;
  const std::uint64_t bytes;
  const Stream stream;
  const trace::Tag tag;
  const bool from_program;          // its allocator is asked, not the pool
  const std::size_t alignment = 1;  // of the address, beyond the device's own

  // The steps done, in their order.
  bool polled = false;
  Eviction eviction{};
  bool trimmed = false;
  std::int64_t deadline_ns = 0;  // of all waiting; 0: none so far
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_ROOM_REQUEST_H_
