// MemorySource: where a BlockPool gets its segments from: a device, page-locked host memory, pageable host memory, or a
// file (file_source.h).
#ifndef TIERLIB_SRC_ALLOCATOR_MEMORY_SOURCE_H_
#define TIERLIB_SRC_ALLOCATOR_MEMORY_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "allocator/device_backend.h"
#include "allocator/numa_topology.h"
#include "tierlib/placement.h"
#include "tierlib/status.h"
#include "tierlib/tier.h"

namespace tierlib {

// Thread-safety: callers lock (a BlockPool does).
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  virtual Tier tier() const = 0;
  virtual std::uint64_t capacity() const = 0;   // bytes that Grow hands out in all
  virtual std::size_t granularity() const = 0;  // sizes given to Grow are multiples of it
  // `bytes` more. The ranges of successive calls are adjacent and ascending: together they are one segment that starts
  // at base(). ResourceExhausted, without a message, beyond the capacity.
  virtual Status Grow(std::size_t bytes) = 0;
  // Gives back whole pieces, as Grow got them, from the end of the segment: as many as `bytes` holds without splitting
  // a huge page. Returns their bytes. REQUIRES: no work that uses them is pending.
  virtual StatusOr<std::size_t> Shrink(std::size_t bytes) = 0;

  // Gives back the memory of the pieces within [offset, offset + bytes), as many as go without splitting a huge page;
  // their addresses stay grown. What they held is lost. A source without such holes leaves everything as it is.
  // REQUIRES: no work that uses them is pending.
  virtual Status Discard(std::size_t /*offset*/, std::size_t /*bytes*/) { return OkStatus(); }
  // Puts memory behind [offset, offset + bytes) again, wherever it was discarded: whole pieces, MissingFor(offset,
  // bytes) in all. ResourceExhausted where there is none.
  virtual Status Commit(std::size_t /*offset*/, std::size_t /*bytes*/) { return OkStatus(); }
  virtual std::size_t absent() const { return 0; }  // bytes of the segment that are discarded now
  // The same of [offset, offset + bytes).
  virtual std::size_t AbsentIn(std::size_t /*offset*/, std::size_t /*bytes*/) const { return 0; }
  // The same of the pieces that have a byte there, as wholes.
  virtual std::size_t MissingFor(std::size_t /*offset*/, std::size_t /*bytes*/) const { return 0; }

  virtual std::byte* base() const = 0;             // address of the segment; fixed for the life of the source
  virtual std::size_t base_alignment() const = 0;  // a power of two that base() is a multiple of
  virtual std::size_t grown() const = 0;           // bytes of the segment now
  virtual std::size_t locked() const = 0;          // of these, page-locked
  // False where NoteBlock does nothing, now and later.
  virtual bool notes_blocks() const { return true; }
  // The node that its memory was asked for on, or that the device is at; -1: none, or not known.
  virtual int numa_node() const { return -1; }
  // Copies [offset, offset + bytes) of the segment to `to`. A file is read by system calls, so that what touching its
  // memory would answer with a signal (a bad sector, a file that was cut short) is DataLoss. Needs no lock. REQUIRES:
  // grown, not discarded, and nobody writes there.
  virtual Status Read(std::size_t offset, void* to, std::size_t bytes) const {
    std::memcpy(to, base() + offset, bytes);
    return OkStatus();
  }
  // Passes on which blocks are live, for poisoning. See DeviceBackend::NoteBlock.
  virtual void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) = 0;
  // Where the first `bytes` bytes of the segment are, page by page. Takes a while, and needs no lock of the caller:
  // what is given back meanwhile counts as absent. Unimplemented where nobody tells.
  virtual StatusOr<Placement> VerifyPlacement(std::size_t /*bytes*/) const {
    return UnimplementedError(std::string(TierName(tier())) + " memory: nobody tells on which node its pages are");
  }
};

// Device memory. The backend outlives the source. REQUIRES: nobody else reserves memory of the device while the source
// grows, otherwise its segment ends there and Grow is ResourceExhausted.
StatusOr<std::unique_ptr<MemorySource>> MakeDeviceSource(DeviceBackend& device);

// The same as one piece of the whole capacity, reserved now and never shrunk. ResourceExhausted, naming both, where the
// device has less.
StatusOr<std::unique_ptr<MemorySource>> MakeWholeDeviceSource(DeviceBackend& device);

// Host memory by mmap, in an address range reserved once. Memory goes back by whole pieces, at the end or between.
// kPinned: huge pages where possible, bound to `numa_node` (-1: the node of the calling thread), touched ahead,
// page-locked by mlock as far as RLIMIT_MEMLOCK allows (locked() tells how far) and registered with `device`. Bound
// strictly: where the node has no memory left Grow is ResourceExhausted, though others have some
// (docs/decisions/0009-strict-binding.md). With shape_only no memory is behind the addresses.
struct HostSourceOptions {
  Tier tier = Tier::kPinned;
  std::uint64_t capacity = 0;
  int numa_node = -1;
  bool shape_only = false;
  DeviceBackend* device = nullptr;   // null: registered with none
  NumaTopology* topology = nullptr;  // null: the machine's
};
StatusOr<std::unique_ptr<MemorySource>> MakeHostSource(const HostSourceOptions& options);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_MEMORY_SOURCE_H_
