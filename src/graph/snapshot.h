// Snapshot: the bytes of a storage at one version that saved values need, wherever they are. A tensor moved to the host
// is a replica of the same storage; all values that show the storage at that version share one Snapshot.
//
//   I1  kHost: host_bytes contains needed (kBoth may need more of the storage than the host has)
//   I2  kDevice and kReplayed hold device bytes, unless they were written or abandoned; kHost and kReplayable hold none
//   I3  a recipe is there exactly for kReplayable and kReplayed, and gives needed; its source, where it has one, needs
//       what it reads
//   I4  where there is a buffer, buffer_bytes are those of the storage's bytes that it has
//
// Thread-safety: not synchronised; the store's lock guards every member.
#ifndef TIERLIB_SRC_GRAPH_SNAPSHOT_H_
#define TIERLIB_SRC_GRAPH_SNAPSHOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "graph/lineage.h"
#include "graph/peak_watch.h"
#include "storage/buffer.h"
#include "storage/byte_ranges.h"
#include "storage/residency.h"
#include "storage/transfer_engine.h"

namespace tierlib {

// Bytes of a storage in one host block, in the order of `ranges`, without gaps.
struct HostPiece {
  ByteRanges ranges;
  std::shared_ptr<HostBuffer> buffer;
  TransferRef arrival;  // the copy that brings them there
  std::optional<std::uint32_t> file_checksum =
      std::nullopt;      // of the block, where that is in a file and its copy has ended
  bool vouched = false;  // the copy had ended when the program last said that the storage is at this version
};

// What the device found in bytes that were packed, once or several times from one stream.
struct DeviceChecksum {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::atomic<std::uint64_t> value{kNone};  // a CRC-32C of the ranges one after the other
  std::atomic<std::uint64_t> differed{0};   // not 0: a later one was another
};
struct PackedChecksum {
  ByteRanges ranges;
  std::shared_ptr<DeviceChecksum> checksum;
  MarkRef taken;  // from when the checksum is there
};

struct Snapshot : std::enable_shared_from_this<Snapshot> {
  ContentKey key;
  int device = 0;
  Holds holds = Holds::kTransient;
  std::uint64_t storage_bytes = 0;
  std::string label;              // as it was first packed, or its storage's
  std::uint32_t saved_label = 0;  // that, in the trace
  std::uint32_t trace_label = 0;  // its storage's
  std::uint64_t pack_order = 0;   // of the latest Pack
  bool shared = true;             // false: no other value may find it (a naive copy; bytes that a recipe does not give)
  bool packed = false;  // the host holds the elements of `packed_from` in row-major order, not the storage's bytes
  Layout packed_from;

  Residence residence;
  ByteRanges needed;  // by the saved values so far

  std::shared_ptr<DeviceBuffer> buffer;  // device bytes that the snapshot itself holds
  ByteRanges buffer_bytes;
  std::weak_ptr<DeviceBuffer> original;  // the storage's own device bytes, while it lives and is unwritten
  std::shared_ptr<FormerBlock> former;   // their block, where it may be had back after that
  // Whether it may now, and holds no more than values need: a reload would take less memory.
  bool may_be_taken_back() const {
    const ByteRange hull = needed.hull();
    return former != nullptr && hull.end - hull.begin == storage_bytes && former->may_come_back();
  }
  MarkRef produced;  // work that wrote the storage's own device bytes
  // What brought `buffer` back, if it is a block of our own: a copy, or a replay.
  TransferRef reload;
  MarkRef replayed;
  bool taken_back = false;  // or neither: `buffer` is on the storage's own block, had back

  absl::InlinedVector<HostPiece, 1> host;
  ByteRanges host_bytes;
  // With Options::checksums: of the bytes that were packed, as the device saw them then.
  absl::InlinedVector<PackedChecksum, 1> checksums;

  // How a replayable snapshot is made again: the last step ends here; `source` is the content that the first starts
  // from. Null where the one step is the program's own computing.
  std::vector<RecipeStep> recipe;
  std::shared_ptr<Snapshot> source;
  // What that could be, while the host has nothing of it.
  Recomputation recomputation;
  absl::InlinedVector<std::thread::id, 1> computing;  // the threads that are at it
  // The other way round: snapshots whose source this one is, or was.
  absl::InlinedVector<std::weak_ptr<Snapshot>, 1> dependents;

  std::uint64_t written_version = 0;  // of the first write since: reading is an error as it is without offload
  // The same two by the program's own count, where it supplies versions and where they told of the write.
  std::optional<std::uint64_t> program_version;
  std::optional<std::uint64_t> written_program_version;
  Status unreadable;  // not OK: the bytes may not be those that were saved, and nothing may be made from them either
  bool asked_for = false;   // unpacked before
  bool prefetched = false;  // `buffer` came back before anybody asked for it
  bool freed = false;       // its storage's device bytes were given back while it was saved
  bool abandoned = false;   // the owner retired memory that nobody kept alive
  PeakValue peak;           // with DeviceOptions::target_peak
  bool refused = false;     // the host had no place for it when it was first to move
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_SNAPSHOT_H_
