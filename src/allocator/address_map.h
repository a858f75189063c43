// AddressMap: which live block of a pool an address lies in. Readers take no lock.
//
// Only where blocks start is written down, so a block of any size costs the same few words: one bit per unit, 64 units
// to a page, and above the pages three levels of bits that say which words below are not zero. What covers an address
// is the block with the last start at or before it, if it is long enough. A page says which its block is, or points at
// the list of several.
//
// Offsets are from the pool's base. Memory: 32 bytes for each page up to the end given to Cover, touched where blocks
// start, and 24 to 48 bytes for each block of a page with several. Nothing is given back before the map is destroyed,
// so what a reader still looks at stays readable.
//
//   M1  a bit above is set exactly where the word below is not zero
//   M2  a page stands for exactly the blocks that start there
//   M3  of each kind of node one is to spare: Remove needs no memory
//
// Thread-safety: Find may run beside everything. It is lock-free: it looks again only where a writer got ahead
// meanwhile. A block that is live for as long as Find runs is found; one that is added or removed meanwhile is found or
// not, with its own bounds and tag in either case. The callers of the other functions lock (a BlockPool does).
#ifndef TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_H_
#define TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "trace/event.h"

namespace tierlib {

struct Block;
namespace address_map {  // address_map_words.h
struct Chunk;
struct Node;
struct Page;
}  // namespace address_map

class AddressMap {
 public:
  // Offsets are below `capacity`. REQUIRES: `unit` is a power of two, and there are fewer than 2^40 units.
  AddressMap(std::size_t capacity, std::size_t unit);
  ~AddressMap();
  AddressMap(const AddressMap&) = delete;
  AddressMap& operator=(const AddressMap&) = delete;

  // Makes room for blocks that end at or before `end`. False where memory for that is missing.
  bool Cover(std::size_t end) { return end <= covered_end_ || MakeChunks(end); }
  // Makes room for one Add. False where memory for that is missing.
  bool Prepare() { return !nodes_short_ || MakeNodes(); }
  // A block became live. REQUIRES: prepared; it is covered, consists of whole units and overlaps no other.
  void Add(std::size_t offset, std::size_t bytes, trace::Tag tag, Block* block);
  // The block that starts at `offset` is no longer live; what Add was given for it. Null where none starts there.
  Block* Remove(std::size_t offset);
  // What Add was given for the block that starts at `offset`; null where none does, whatever the offset.
  Block* At(std::size_t offset) const;
  // Names who has the block that starts at `offset`; 0, nobody, since Add. False where there is no such block.
  bool SetOwner(std::size_t offset, std::uint64_t owner);

  struct Found {
    trace::Tag tag = trace::Tag::kNone;
    std::size_t in_block = 0;  // the offset asked about, from the block's first byte
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::uint64_t owner = 0;
  };
  // The block that covers `offset`; false where none does. REQUIRES: `offset` is below the capacity.
  bool Find(std::size_t offset, Found* found) const;

  std::size_t size() const { return size_; }
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  friend struct address_map::Node;
  using Chunk = address_map::Chunk;
  using Node = address_map::Node;
  static constexpr std::size_t kNodeKinds = 5;
  static constexpr std::size_t kNoPage = ~std::size_t{0};

  // The page with the last start at or before `unit` / in those rows / before the chunk. kNoPage where there is none.
  std::size_t LastPage(std::size_t unit) const;
  static std::size_t LastPageIn(const Chunk& chunk, std::uint64_t rows);
  std::size_t LastPageBefore(std::size_t chunk_end) const;
  struct Where {
    Chunk& chunk;
    address_map::Page& page;
    std::size_t page_index;
    std::size_t unit;
  };
  Where WhereIs(std::size_t unit) const;
  bool StartsAt(std::size_t offset) const;
  // Another start in a page that has one, and a page that keeps one without the start at `at`.
  void List(const Where& at, std::uint64_t extent, Block* block);
  void Unlist(const Where& at);
  bool MakeChunks(std::size_t end);
  bool MakeNodes();
  Node* TakeNode(std::size_t kind);
  void GiveNode(Node* node, std::size_t kind);

  const int unit_bits_;
  const std::size_t chunk_count_;
  const std::unique_ptr<std::atomic<Chunk*>[]> chunks_;             // null: nothing was ever there
  const std::unique_ptr<std::atomic<std::uint64_t>[]> any_chunks_;  // a bit for each chunk with a start
  std::size_t covered_ = 0;                                         // chunks that are there, from the lowest
  std::size_t covered_end_ = 0;                                     // where they end, in bytes
  std::vector<std::pair<void*, std::size_t>> mappings_;             // in which they lie
  struct PieceDeleter {
    void operator()(std::byte* piece) const;
  };
  std::vector<std::unique_ptr<std::byte, PieceDeleter>> pieces_;  // of nodes
  struct Spare {
    Node* first = nullptr;
    std::size_t count = 0;
  };
  Spare spare_[kNodeKinds];
  bool nodes_short_ = true;   // of some kind there are fewer than two to spare
  std::uint16_t number_ = 0;  // of the last page's word that was written
  std::size_t size_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_H_
