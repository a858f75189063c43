// CopyBatch: small copies to the host that wait to be enqueued as one operation (DeviceOptions::coalesce_bytes), with
// what they read and write: until then none of that may be used for anything else.
//
// Thread-safety: none; the engine that makes the copies owns it.
#ifndef TIERLIB_SRC_STORAGE_COPY_BATCH_H_
#define TIERLIB_SRC_STORAGE_COPY_BATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "storage/event_pool.h"
#include "tierlib/storage_id.h"

namespace tierlib {

struct Transfer;

class CopyBatch {
 public:
  struct Member {
    std::shared_ptr<Transfer> transfer;
    std::vector<CopyRun> runs;
    std::uint64_t device_bytes = 0;  // of the block that it reads, whole
    std::shared_ptr<void> device;    // that block
    std::shared_ptr<void> host;      // the block that it writes
  };
  // Work that makes bytes of members.
  struct Producer {
    std::optional<std::uint64_t> stream;  // its number, where the device knows that
    MarkRef made;
  };

  // Where memory is short, throws std::bad_alloc and has the members that it had.
  void Add(Member member, Producer producer);
  void Clear();

  bool empty() const { return members_.empty(); }
  std::uint64_t device_bytes() const { return device_bytes_; }
  absl::Span<const Member> members() const { return members_; }
  // One for each stream.
  absl::Span<const Producer> producers() const { return producers_; }
  // The last member of the storage; null where there is none.
  std::shared_ptr<Transfer> LastOf(StorageId storage) const;
  // Of all members, in their order.
  std::vector<CopyRun> Runs() const;

 private:
  std::vector<Member> members_;
  absl::InlinedVector<Producer, 2> producers_;
  std::uint64_t device_bytes_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_COPY_BATCH_H_
