// RaceCheck: whether accesses to the same bytes are ordered, by what was enqueued and waited for, not by what happened.
//
// Each stream has a vector clock: per stream, how much of that stream's work comes before its next work. Recordings
// carry the clock of their stream to the streams that wait for them, and to the host where it saw that they are
// complete; what the host enqueues comes after what it saw. Two accesses to a byte, one of them a write, of which the
// second does not come after the first are a race, even where this run did them one after the other.
//
// What is known of bytes is kept by ranges that were accessed alike:
//
//   I1  ranges are not empty, ascending and disjoint
//   I2  a range has the last write and the reads after it of which none comes before another
//
// The host counts as one: what one of its threads saw, all know. That misses races between threads that do not tell
// each other, and finds none that is not there.
//
// Thread-safety: none; its owner locks.
#ifndef TIERLIB_SRC_ALLOCATOR_RACE_CHECK_H_
#define TIERLIB_SRC_ALLOCATOR_RACE_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "tierlib/status.h"

namespace tierlib {

namespace race {

// Names a piece of work: {"copy out"}, {"kernel ", "add"}. Literals, or they outlive the check.
struct Name {
  const char* kind = "";
  const char* name = "";
};

// An access, for the order and the report.
struct Use {
  std::size_t stream = 0;  // index
  std::uint64_t time = 0;  // of the stream's clock; 0: none
  Name name;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

struct Range {
  std::uintptr_t end = 0;
  Use write;
  absl::InlinedVector<Use, 1> reads;
};

}  // namespace race

class RaceCheck {
 public:
  // Per stream, by index: how many pieces of its work come before.
  using Clock = absl::InlinedVector<std::uint64_t, 8>;

  // REQUIRES: not known, or ended since.
  void StreamBegins(Stream stream, std::string_view name);
  // The host waited for its work, and its handle may come back as another stream.
  void StreamEnded(Stream stream);

  void Recorded(EventId event, Stream stream);
  void Waits(Stream stream, EventId event);
  void Destroyed(EventId event) { recordings_.erase(event); }

  // What a wait of the host that begins now waits for; once it has ended, HostSaw.
  Clock Before(EventId event) const;
  Clock Before(Stream stream) const;
  Clock Everything() const;
  void HostSaw(const Clock& clock);
  // The same for an event that the host was told is complete.
  void HostSaw(EventId event);

  // One piece of work that was enqueued on `stream`.
  void Work(Stream stream, race::Name name, absl::Span<const Access> accesses);
  // The host gives the memory away: nothing may be pending on it, and what was known of it is forgotten.
  void HostReleases(const void* base, std::size_t bytes);
  // From now on the bytes are another block's, which the device itself orders after this one's.
  void Forget(const void* base, std::size_t bytes);

  // OK, or the first race: FailedPrecondition that tells both accesses, and what would order them.
  const Status& first() const { return first_; }
  std::size_t ranges() const { return ranges_.size(); }
  void CheckInvariants() const;  // aborts naming the invariant that does not hold. For tests.

 private:
  using Use = race::Use;
  using Range = race::Range;
  struct Known {
    Stream stream;
    std::string name;
    Clock clock;
    std::uint64_t host_seen = 0;  // host_changes_ that the clock has
  };
  using Ranges = absl::btree_map<std::uintptr_t, Range>;

  std::size_t IndexOf(Stream stream);
  static std::uint64_t At(const Clock& clock, std::size_t index) { return index < clock.size() ? clock[index] : 0; }
  // Raises `clock` to the elementwise maximum; true where that changed it.
  static bool Join(Clock& clock, const Clock& other);
  static bool IsBefore(const Use& use, const Clock& clock) { return use.time <= At(clock, use.stream); }

  void Read(const Use& use, const Clock& clock);
  void Write(const Use& use, const Clock& clock);
  void CheckAgainst(const Range& range, const Use& use, bool writes, const Clock& clock);
  void Report(const Use& earlier, bool earlier_writes, const Use& later, bool later_writes);
  std::string Describe(const Use& use) const;
  // Makes a range begin at `address` where one covers it; the first range at or after it.
  Ranges::iterator SplitAt(std::uintptr_t address);
  void DropSettled();

  std::vector<Known> streams_;
  std::vector<std::size_t> ended_;                            // indexes to use again
  absl::flat_hash_map<std::uintptr_t, std::size_t> indexes_;  // by handle
  absl::flat_hash_map<EventId, Clock> recordings_;            // the latest of each event
  Clock host_;                                                // what the host knows to have ended
  std::uint64_t host_changes_ = 0;
  Ranges ranges_;  // by first address
  std::size_t next_drop_ = 1024;
  Status first_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_RACE_CHECK_H_
