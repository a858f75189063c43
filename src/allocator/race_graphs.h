// RaceGraphs: what captures recorded, for RaceCheck. Captured work is no access; each launch of its graph is, on
// streams of the graph's own, in the order that its recordings and waits give.
//
// Thread-safety: none; its owner locks.
#ifndef TIERLIB_SRC_ALLOCATOR_RACE_GRAPHS_H_
#define TIERLIB_SRC_ALLOCATOR_RACE_GRAPHS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "allocator/race_check.h"

namespace tierlib {

class RaceGraphs {
 public:
  // The device began a capture, and ended it with this graph (0: without one).
  void Begin(Stream stream);
  void End(RaceCheck& check, Stream stream, GraphId graph);

  // False where the stream, or the event, has to do with no capture: then the check is to be told.
  bool Work(Stream stream, race::Name name, absl::Span<const Access> accesses);
  bool Recorded(EventId event, Stream stream);
  bool Waits(Stream stream, EventId event);
  void Destroyed(EventId event) { events_.erase(event); }

  // The graph was launched on the stream; its launches have ended, and it is gone.
  void Launch(RaceCheck& check, GraphId graph, Stream stream);
  void Destroy(RaceCheck& check, GraphId graph);

 private:
  struct Step {
    enum class Kind : std::uint8_t { kWork, kRecord, kWait };
    Kind kind = Kind::kWork;
    std::size_t lane = 0;
    EventId event = 0;  // one of ours, of kRecord and kWait
    race::Name name;
    absl::InlinedVector<Access, 4> accesses;
  };
  struct Place {
    std::uintptr_t capture = 0;  // handle of the stream that began it
    std::size_t lane = 0;
  };
  struct CapturedEvent {
    std::uintptr_t capture = 0;
    EventId event = 0;  // one of ours
  };
  struct Log {
    std::vector<Step> steps;
    std::vector<std::uintptr_t> handles;  // of the streams, by lane
    std::vector<Stream> streams;          // of the graph's own
  };
  Step* Add(Stream stream, Step::Kind kind);

  std::uint64_t next_ = std::uint64_t{1} << 62;  // handles and events that no device has
  absl::flat_hash_map<std::uintptr_t, Log> captures_;
  absl::flat_hash_map<std::uintptr_t, Place> streams_;  // by handle
  absl::flat_hash_map<EventId, CapturedEvent> events_;  // those that were last recorded in a capture under way
  absl::flat_hash_map<GraphId, Log> graphs_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_RACE_GRAPHS_H_
