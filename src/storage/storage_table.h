// StorageTable: the storages that are registered, by id.
//
// Thread-safety: not synchronised; the store's lock guards it. A Storage* is valid until the next Register or Retire.
#ifndef TIERLIB_SRC_STORAGE_STORAGE_TABLE_H_
#define TIERLIB_SRC_STORAGE_STORAGE_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "storage/buffer.h"
#include "storage/event_pool.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"

namespace tierlib {

struct Storage {
  StorageId id;
  std::uint64_t bytes = 0;
  int device = 0;
  Holds holds = Holds::kTransient;
  bool adopted = false;
  std::uint64_t version = 0;  // raised by each write that is announced, or seen in the program's version
  // The program's own version of what is there now, where it supplies versions; `announced`: of what was there before
  // the latest announced write, for which its counter may rise too.
  std::optional<std::uint64_t> program_version;
  bool announced = false;
  std::string label;
  std::uint32_t trace_label = 0;
  std::shared_ptr<DeviceBuffer> buffer;
  // Where it is adopted and was packed without a keepalive: the streams that read it through snapshots and leases.
  std::shared_ptr<StreamSet> unkept_readers;
  // Work of ours that reads its device bytes beside copies out: replays and checksums, the last of each stream.
  absl::InlinedVector<MarkRef, 1> readers;

  void NoteReader(MarkRef mark) {
    for (MarkRef& reader : readers) {
      if (reader->stream != mark->stream) continue;
      reader = std::move(mark);
      return;
    }
    readers.push_back(std::move(mark));
  }
};

class StorageTable {
 public:
  // Slots are numbered from `first_slot` on, so that tables of one runtime have no ids in common.
  explicit StorageTable(std::uint32_t first_slot = 0) : first_slot_(first_slot) {}

  // The id is filled in.
  StorageId Register(Storage storage);
  // FailedPrecondition, naming the id, where it was retired or never registered.
  StatusOr<Storage*> Find(StorageId id);
  // Gives the slot to a later storage under another generation; returns what was there.
  StatusOr<Storage> Retire(StorageId id);
  std::size_t size() const { return live_; }

  // Who holds the most: bytes summed by label, at most `count` labels, largest first.
  struct LabelBytes {
    std::string label;
    std::uint64_t bytes = 0;
  };
  std::vector<LabelBytes> LargestLabels(std::size_t count) const;

 private:
  struct Slot {
    std::uint32_t generation = 0;
    bool live = false;
    Storage storage;
  };
  std::uint32_t first_slot_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> idle_;  // has room for every slot, so that Retire allocates nothing
  std::size_t live_ = 0;
};

// "storage 17.3 'block.3.attn'", for messages.
std::string DescribeStorage(StorageId id, std::string_view label);
// A status of the device (Unavailable), which knows no storages, with the storage named. Others as they are.
Status NameStorage(Status status, StorageId id, std::string_view label);

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_STORAGE_TABLE_H_
