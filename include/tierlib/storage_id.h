// The identity of a storage (bytes that one or more tensors are views of), and what holds its memory.
#ifndef TIERLIB_STORAGE_ID_H_
#define TIERLIB_STORAGE_ID_H_

#include <cstdint>
#include <memory>
#include <utility>

namespace tierlib {

// Slot and generation. A slot is used again after Retire with the next generation, so an id is never mistaken for that of
// an earlier storage, whatever the addresses are. The default value names no storage.
struct StorageId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;

  bool valid() const { return generation != 0; }
  std::uint64_t ToInteger() const { return (std::uint64_t{generation} << 32) | slot; }

  friend bool operator==(StorageId a, StorageId b) { return a.slot == b.slot && a.generation == b.generation; }
  friend bool operator!=(StorageId a, StorageId b) { return !(a == b); }
  template <typename H>
  friend H AbslHashValue(H h, StorageId id) {
    return H::combine(std::move(h), id.slot, id.generation);
  }
};

// What a storage's owner does with it for as long as it is registered.
enum class Holds : std::uint8_t {
  kTransient,   // activations: given up once nothing needs them, so moving them frees device memory
  kPersistent,  // parameters, buffers, optimizer state: stay on the device, so moving them frees nothing
};

// The caller's reference on memory that it owns. tierlib drops it once, after the last copy that reads the memory ended.
using Keepalive = std::shared_ptr<void>;

// Memory of tierlib's own pool, as a registered storage.
struct Allocation {
  StorageId storage;
  void* data = nullptr;
};

}  // namespace tierlib

#endif  // TIERLIB_STORAGE_ID_H_
