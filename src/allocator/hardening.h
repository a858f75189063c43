// Hardening: what a pool does more in hardened mode, so that misuse of its memory ends the program with a message
// that names the block, instead of changing somebody else's bytes.
//
// Bytes that a program asked for lie between two guards:
//
//     | front guard: one alignment | what was asked for | rear guard: the rest of the last unit and one unit more |
//
// Guards hold kGuardByte, fresh bytes kFreshByte. A block that is freed is filled with kFreedByte once the streams that
// used it are done, and stays in a quarantine until that holds more bytes than it may, or the pool has no others.
// Guards are looked at when the work before the free has ended, at the latest when the pool goes; the filling when a
// block leaves the quarantine.
//
// Device memory is filled and read in stream order (DeviceBackend::Fill, Copy), on the stream that a block is for and,
// once it is freed, on one of the pool's own; host memory directly, which no hole has work pending on: the host waits
// for a block's work before it leaves the quarantine. Without bytes only the bookkeeping is done.
//
//   I1  every live block of the pool is one that was handed out, or one in quarantine
//   I2  the first `settled` blocks in quarantine have been looked at and filled; no other one has
//   I3  quarantined is the sum over the quarantine
//
// Thread-safety: all functions lock, before they take the lock of the pool.
#ifndef TIERLIB_SRC_ALLOCATOR_HARDENING_H_
#define TIERLIB_SRC_ALLOCATOR_HARDENING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "allocator/address_map.h"
#include "allocator/device_backend.h"
#include "allocator/misuse.h"
#include "allocator/plain_blocks.h"
#include "base/mutex.h"
#include "tierlib/status.h"
#include "trace/event.h"

namespace tierlib {

class Hardening {
 public:
  static constexpr std::uint8_t kGuardByte = 0xFB;
  static constexpr std::uint8_t kFreshByte = 0xCD;
  static constexpr std::uint8_t kFreedByte = 0xEF;

  struct Settings {
    DeviceBackend* device = nullptr;   // whose streams order the blocks; outlives this
    std::size_t unit = 256;            // the alignment of the blocks
    Stream stream;                     // of its own, which it destroys
    std::size_t quarantine_bytes = 0;  // the most that it holds back
  };
  // REQUIRES: `blocks` outlives it, and nobody else takes blocks there.
  Hardening(PlainBlocks& blocks, const Settings& settings);
  // Looks at everything that is left. REQUIRES: as ~BlockPool.
  ~Hardening();
  Hardening(const Hardening&) = delete;
  Hardening& operator=(const Hardening&) = delete;

  // As those of BlockPool. Allocate takes blocks out of the quarantine where the pool is full. Free aborts also where a
  // guard was written to, now or when it is noticed.
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment);
  void Free(void* address, absl::Span<const Stream> streams);
  std::size_t BlockBytes(const void* address) const;
  void SetOwner(const void* address, std::uint64_t owner);
  // The block whose bytes, as asked for, cover the address. Locks.
  bool Find(const void* address, AddressMap::Found* place) const;
  void CheckInvariants() const;

  // Takes everything out of the quarantine; waits for the work that uses it.
  void Flush();
  // What a block of `bytes` bytes takes with its guards, before it is rounded.
  std::size_t WithGuards(std::size_t bytes) const {
    return bytes > ~std::size_t{0} - 2 * unit_ ? bytes : bytes + 2 * unit_;
  }
  // The largest size that a hole of `bytes` bytes holds.
  std::size_t FitsInto(std::size_t bytes) const { return bytes - (bytes < 2 * unit_ ? bytes : 2 * unit_); }

 private:
  // A block of the pool, of which `asked` bytes behind the first `front` are the program's.
  struct Guarded {
    std::byte* block = nullptr;
    std::size_t bytes = 0;
    std::size_t front = 0;
    std::size_t asked = 0;
    trace::Tag tag = trace::Tag::kNone;
    std::uint64_t owner = 0;
    EventId filled = 0;  // device memory: the guards are there
    std::size_t rear() const { return bytes - front - asked; }
  };
  using Blocks = std::map<const std::byte*, Guarded>;  // by the program's address
  struct Held {
    Guarded guarded;
    EventId done = 0;                   // the work before the free, and on a device the reading and filling
    std::unique_ptr<std::byte[]> seen;  // device memory: front guard, rear guard
    bool blind = false;                 // the device refused: nothing can be said about the bytes
  };

  bool on_device() const { return blocks_.tier() == Tier::kDevice; }
  Status FillFresh(Guarded& guarded, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status OrderAfter(absl::Span<const Stream> streams) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enqueues what comes after the work on `streams`.
  Status EnqueueLook(Held& held, absl::Span<const Stream> streams) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status EnqueueGuardCopy(const Guarded& guarded, std::byte* to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Poll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(Held& held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::size_t OffsetOf(const std::byte* address) const;  // from the base, where there is one
  misuse::BlockName NameOf(const Guarded& guarded) const;
  void CheckGuards(const Guarded& guarded, const std::byte* front, const std::byte* rear) const;
  void CheckFreed(const Guarded& guarded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[noreturn]] void DieOfAddress(const char* use, const void* address) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  PlainBlocks& blocks_;
  DeviceBackend& device_;
  const std::size_t unit_;
  const Stream own_;
  const std::size_t most_;  // bytes in quarantine
  const bool has_bytes_;
  mutable Mutex mutex_;
  Blocks live_ ABSL_GUARDED_BY(mutex_);
  std::deque<Held> quarantine_ ABSL_GUARDED_BY(mutex_);  // oldest first
  std::size_t quarantined_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t settled_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::byte> read_back_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_HARDENING_H_
