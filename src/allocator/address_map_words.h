// The words of an AddressMap, for address_map.cc (what writes them) and address_map_find.cc (what reads them without a
// lock).
//
// How a reader beside a writer goes right: what a page says hangs on one word, which has another number each time that
// it is written. It stands for one block, whose other words lie beside it, or for a node that lists several. The words
// beside it are written while it is 0; a node does not change while a page points at it: a writer makes another, points
// the page at that, and uses the first again later. A reader looks at the word before and after it reads the rest.
// Where it changed, a writer got ahead meanwhile, and the reader starts again: none ever waits for what a writer has
// yet to do.
//
// Loads that acquire and stores that release stand where fences would do, which ThreadSanitizer does not know.
#ifndef TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_WORDS_H_
#define TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_WORDS_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/address_map.h"

namespace tierlib::address_map {

using Bits = std::atomic<std::uint64_t>;

inline constexpr std::size_t kPerWord = 64;
inline constexpr std::size_t kPagesPerChunk = kPerWord * kPerWord;
inline constexpr std::size_t kUnitsPerChunk = kPerWord * kPagesPerChunk;

inline std::uint64_t BitOf(std::size_t index) { return std::uint64_t{1} << index % kPerWord; }
inline std::uint64_t BitsUpTo(std::size_t index) { return ~std::uint64_t{0} >> (kPerWord - 1 - index % kPerWord); }
inline std::uint64_t BitsBefore(std::size_t index) { return BitOf(index) - 1; }
inline std::size_t Highest(std::uint64_t word) { return static_cast<std::size_t>(std::bit_width(word)) - 1; }
inline std::size_t Count(std::uint64_t word) { return static_cast<std::size_t>(std::popcount(word)); }

inline std::uint64_t Read(const Bits& word) { return word.load(std::memory_order_acquire); }
inline void Write(Bits& word, std::uint64_t value) { word.store(value, std::memory_order_release); }
// For the writer, of whom there is one at a time.
inline std::uint64_t Own(const Bits& word) { return word.load(std::memory_order_relaxed); }

inline constexpr int kTagShift = 56;  // of a word with an address or a number of units, and a tag

// A live block, as a node lists it.
struct Slot {
  Bits extent{0};  // units, and the tag
  Bits owner{0};
  union {  // the writer's
    Block* block = nullptr;
    Node* next_spare;  // in the first slot of a node that is not in use
  };
};

// Blocks that start in one page, in ascending order. Nodes are of several kinds, by how many slots follow.
struct Node {
  static constexpr std::size_t kAlignment = 32;
  static constexpr std::size_t kSlots[AddressMap::kNodeKinds] = {2, 5, 10, 21, 64};
  static constexpr std::size_t BytesOf(std::size_t kind) {
    return (sizeof(Bits) + kSlots[kind] * sizeof(Slot) + kAlignment - 1) / kAlignment * kAlignment;
  }

  Bits starts{0};  // a bit for each unit of the page in which one starts

  Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
};
static_assert(sizeof(Node) == sizeof(Bits));

// A page's word: 0 where no block starts there; the start and units of the one that does; or the node, once there were
// several. From the lowest bit: 1, 40 bits of units, 16 of the number, 6 of the start; or 0, the node's kind in place
// of the address's zeros, its address, 16 of the number.
struct PageWord {
  static constexpr int kUnitBits = 40;
  static constexpr int kOneNumberShift = 1 + kUnitBits;
  static constexpr int kStartShift = kOneNumberShift + 16;
  static constexpr int kNodeNumberShift = 48;

  static std::uint64_t OfOne(std::size_t start, std::uint64_t units, std::uint16_t number) {
    return 1 | units << 1 | std::uint64_t{number} << kOneNumberShift | std::uint64_t{start} << kStartShift;
  }
  static bool IsOne(std::uint64_t word) { return (word & 1) != 0; }
  static std::size_t StartOf(std::uint64_t word) { return word >> kStartShift; }
  static std::uint64_t UnitsOf(std::uint64_t word) { return word >> 1 & ((std::uint64_t{1} << kUnitBits) - 1); }

  static std::uint64_t OfNode(Node* node, std::size_t kind, std::uint16_t number) {
    return reinterpret_cast<std::uintptr_t>(node) | kind << 1 | std::uint64_t{number} << kNodeNumberShift;
  }
  static std::size_t KindOf(std::uint64_t word) { return word % Node::kAlignment >> 1; }
  static Node* NodeOf(std::uint64_t word) {
    const std::uint64_t address = word & ((std::uint64_t{1} << kNodeNumberShift) - 1);
    return reinterpret_cast<Node*>(address & ~std::uint64_t{Node::kAlignment - 1});
  }
};

struct Page {
  Bits starts;  // a bit for each unit in which a block starts: the lowest of the levels of bits
  Bits word;
  Bits owner;  // where the word stands for one block: its owner, its address with the writer, and its tag
  Bits block;

  static std::uint64_t OfBlock(const Block* block, trace::Tag tag) {
    return reinterpret_cast<std::uintptr_t>(block) | static_cast<std::uint64_t>(tag) << kTagShift;
  }
  static Block* BlockOf(std::uint64_t block) {
    return reinterpret_cast<Block*>(block & ((std::uint64_t{1} << kTagShift) - 1));
  }
};
static_assert(sizeof(Page) == 32);

// Words for 64 rows of 64 pages of 64 units. Made as memory that is zero.
struct alignas(64) Chunk {
  Bits any_rows;             // which rows have a start
  Bits any_pages[kPerWord];  // by row: which pages have one
  alignas(64) Page pages[kPagesPerChunk];
};

}  // namespace tierlib::address_map

#endif  // TIERLIB_SRC_ALLOCATOR_ADDRESS_MAP_WORDS_H_
