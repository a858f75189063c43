#include "allocator/address_map.h"

#include <sys/mman.h>

#include <new>

#include "allocator/address_map_words.h"
#include "base/check.h"
#include "tierlib/bytes.h"

namespace tierlib {

using address_map::BitOf;
using address_map::Bits;
using address_map::BitsBefore;
using address_map::Chunk;
using address_map::Count;
using address_map::kPagesPerChunk;
using address_map::kPerWord;
using address_map::kTagShift;
using address_map::kUnitsPerChunk;
using address_map::Node;
using address_map::Own;
using address_map::Page;
using address_map::PageWord;
using address_map::Slot;
using address_map::Write;

namespace {

constexpr std::size_t kPieceBytes = 4096;  // nodes are made for so many bytes at a time, and two at least
constexpr std::size_t kUnitLimit = std::size_t{1} << PageWord::kUnitBits;
constexpr std::size_t kHugePage = MiB(2);
constexpr std::size_t kChunksInHugePage = kHugePage / sizeof(Chunk);

// False where the word was not zero before: the bit above it is set then.
bool SetFirst(Bits& word, std::uint64_t bit) {
  const std::uint64_t before = Own(word);
  Write(word, before | bit);
  return before == 0;
}
// False where the word is not zero now.
bool ClearLast(Bits& word, std::uint64_t bit) {
  const std::uint64_t now = Own(word) & ~bit;
  Write(word, now);
  return now == 0;
}

std::size_t KindFor(std::size_t slots) {
  std::size_t kind = 0;
  while (Node::kSlots[kind] < slots) ++kind;
  return kind;
}

void Copy(const Slot* from, std::size_t count, Slot* to) {
  for (std::size_t i = 0; i < count; ++i) {
    Write(to[i].extent, Own(from[i].extent));
    Write(to[i].owner, Own(from[i].owner));
    to[i].block = from[i].block;
  }
}

}  // namespace

void AddressMap::PieceDeleter::operator()(std::byte* piece) const {
  ::operator delete (piece, std::align_val_t{Node::kAlignment});
}

AddressMap::AddressMap(std::size_t capacity, std::size_t unit)
    : unit_bits_(std::countr_zero(unit)),
      chunk_count_(((capacity >> unit_bits_) + kUnitsPerChunk - 1) / kUnitsPerChunk),
      chunks_(std::make_unique<std::atomic<Chunk*>[]>(chunk_count_)),
      any_chunks_(std::make_unique<Bits[]>((chunk_count_ + kPerWord - 1) / kPerWord)) {
  TIERLIB_CHECK(std::has_single_bit(unit) && (capacity >> unit_bits_) < kUnitLimit,
                "AddressMap: more units than a word can tell");
}

AddressMap::~AddressMap() {
  for (const auto& [mapped, bytes] : mappings_) munmap(mapped, bytes);
}

// --- memory ---------------------------------------------------------------------------------------------------------

bool AddressMap::MakeChunks(std::size_t end) {
  while (covered_end_ < end) {
    // One after another while the pool is small, then as many as a huge page holds.
    const bool many = covered_ >= kChunksInHugePage;
    const std::size_t bytes = many ? 2 * kHugePage : sizeof(Chunk);
    try {
      mappings_.reserve(mappings_.size() + 1);
    } catch (const std::bad_alloc&) {
      return false;
    }
    void* const mapped =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    mappings_.push_back({mapped, bytes});
    auto* chunks = static_cast<std::byte*>(mapped);
    if (many) {
      chunks += (kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage) % kHugePage;
      (void)madvise(chunks, kHugePage, MADV_HUGEPAGE);
    }
    for (std::size_t i = 0; i < (many ? kChunksInHugePage : 1) && covered_ < chunk_count_; ++i, ++covered_) {
      chunks_[covered_].store(reinterpret_cast<Chunk*>(chunks + i * sizeof(Chunk)), std::memory_order_release);
    }
    covered_end_ = covered_ * kUnitsPerChunk << unit_bits_;
  }
  return true;
}

bool AddressMap::MakeNodes() {
  try {
    for (std::size_t kind = 0; kind < kNodeKinds; ++kind) {
      if (spare_[kind].count >= 2) continue;
      const std::size_t bytes = Node::BytesOf(kind);
      const std::size_t count = bytes * 2 > kPieceBytes ? 2 : kPieceBytes / bytes;
      void* const piece = ::operator new (bytes* count, std::align_val_t{Node::kAlignment});
      pieces_.emplace_back(static_cast<std::byte*>(piece));
      TIERLIB_CHECK(reinterpret_cast<std::uintptr_t>(piece) >> PageWord::kNodeNumberShift == 0,
                    "AddressMap: an address of more than 48 bits");
      for (std::size_t i = count; i-- > 0;) {
        auto* const node = new (pieces_.back().get() + i * bytes) Node();
        for (std::size_t slot = 0; slot < Node::kSlots[kind]; ++slot) new (node->slots() + slot) Slot();
        GiveNode(node, kind);
      }
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  nodes_short_ = false;
  return true;
}

Node* AddressMap::TakeNode(std::size_t kind) {
  Spare& spare = spare_[kind];
  Node* const node = spare.first;
  spare.first = node->slots()->next_spare;
  if (--spare.count < 2) nodes_short_ = true;
  return node;
}

void AddressMap::GiveNode(Node* node, std::size_t kind) {
  node->slots()->next_spare = spare_[kind].first;
  spare_[kind].first = node;
  ++spare_[kind].count;
}

// --- blocks ---------------------------------------------------------------------------------------------------------

AddressMap::Where AddressMap::WhereIs(std::size_t unit) const {
  const std::size_t page = unit / kPerWord;
  Chunk& chunk = *chunks_[page / kPagesPerChunk].load(std::memory_order_relaxed);
  return {chunk, chunk.pages[page % kPagesPerChunk], page, unit};
}

bool AddressMap::StartsAt(std::size_t offset) const {
  const std::size_t unit = offset >> unit_bits_;
  if (unit << unit_bits_ != offset || unit / kUnitsPerChunk >= covered_) return false;
  return (Own(WhereIs(unit).page.starts) & BitOf(unit)) != 0;
}

void AddressMap::Add(std::size_t offset, std::size_t bytes, trace::Tag tag, Block* block) {
  const Where at = WhereIs(offset >> unit_bits_);
  const std::uint64_t units = bytes >> unit_bits_;
  if (Own(at.page.word) == 0) {
    Write(at.page.owner, 0);
    Write(at.page.block, Page::OfBlock(block, tag));
    Write(at.page.word, PageWord::OfOne(at.unit % kPerWord, units, ++number_));
  } else {
    List(at, units | static_cast<std::uint64_t>(tag) << kTagShift, block);
  }
  ++size_;
  const std::size_t row = at.page_index / kPerWord;
  const std::size_t chunk_index = row / kPerWord;
  if (SetFirst(at.page.starts, BitOf(at.unit)) && SetFirst(at.chunk.any_pages[row % kPerWord], BitOf(at.page_index)) &&
      SetFirst(at.chunk.any_rows, BitOf(row))) {
    SetFirst(any_chunks_[chunk_index / kPerWord], BitOf(chunk_index));
  }
}

void AddressMap::List(const Where& at, std::uint64_t extent, Block* block) {
  const std::uint64_t before = Own(at.page.word);
  const std::uint64_t starts = Own(at.page.starts);
  const std::size_t count = Count(starts);
  const std::size_t index = Count(starts & BitsBefore(at.unit));
  const std::size_t kind = KindFor(count + 1);
  Node* const node = TakeNode(kind);
  Slot& slot = node->slots()[index];
  Write(slot.extent, extent);
  Write(slot.owner, 0);
  slot.block = block;
  if (PageWord::IsOne(before)) {
    Slot& other = node->slots()[1 - index];
    const std::uint64_t one = Own(at.page.block);
    Write(other.extent, PageWord::UnitsOf(before) | (one >> kTagShift) << kTagShift);
    Write(other.owner, Own(at.page.owner));
    other.block = Page::BlockOf(one);
  } else {
    const Slot* const old = PageWord::NodeOf(before)->slots();
    Copy(old, index, node->slots());
    Copy(old + index, count - index, node->slots() + index + 1);
  }
  Write(node->starts, starts | BitOf(at.unit));
  Write(at.page.word, PageWord::OfNode(node, kind, ++number_));
  if (!PageWord::IsOne(before)) GiveNode(PageWord::NodeOf(before), PageWord::KindOf(before));
}

Block* AddressMap::Remove(std::size_t offset) {
  Block* const block = At(offset);
  if (block == nullptr) return nullptr;
  const Where at = WhereIs(offset >> unit_bits_);
  --size_;
  if (!ClearLast(at.page.starts, BitOf(at.unit))) {
    Unlist(at);
    return block;
  }
  const std::size_t row = at.page_index / kPerWord;
  const std::size_t chunk_index = row / kPerWord;
  if (ClearLast(at.chunk.any_pages[row % kPerWord], BitOf(at.page_index)) && ClearLast(at.chunk.any_rows, BitOf(row))) {
    ClearLast(any_chunks_[chunk_index / kPerWord], BitOf(chunk_index));
  }
  const std::uint64_t before = Own(at.page.word);
  Write(at.page.word, 0);
  if (!PageWord::IsOne(before)) GiveNode(PageWord::NodeOf(before), PageWord::KindOf(before));
  return block;
}

void AddressMap::Unlist(const Where& at) {
  const std::uint64_t before = Own(at.page.word);
  const std::uint64_t starts = Own(at.page.starts);
  const std::size_t count = Count(starts);
  const std::size_t index = Count(starts & BitsBefore(at.unit));
  const Slot* const old = PageWord::NodeOf(before)->slots();
  // Of its own kind there always is one more, so this needs no memory.
  std::size_t kind = PageWord::KindOf(before);
  if (const std::size_t smaller = KindFor(count); spare_[smaller].count >= 2) kind = smaller;
  Node* const node = TakeNode(kind);
  Copy(old, index, node->slots());
  Copy(old + index + 1, count - index, node->slots() + index);
  Write(node->starts, starts);
  Write(at.page.word, PageWord::OfNode(node, kind, ++number_));
  GiveNode(PageWord::NodeOf(before), PageWord::KindOf(before));
}

Block* AddressMap::At(std::size_t offset) const {
  if (!StartsAt(offset)) return nullptr;
  const Where at = WhereIs(offset >> unit_bits_);
  const std::uint64_t word = Own(at.page.word);
  if (PageWord::IsOne(word)) return Page::BlockOf(Own(at.page.block));
  return PageWord::NodeOf(word)->slots()[Count(Own(at.page.starts) & BitsBefore(at.unit))].block;
}

bool AddressMap::SetOwner(std::size_t offset, std::uint64_t owner) {
  if (!StartsAt(offset)) return false;
  const Where at = WhereIs(offset >> unit_bits_);
  const std::uint64_t word = Own(at.page.word);
  Write(PageWord::IsOne(word) ? at.page.owner
                              : PageWord::NodeOf(word)->slots()[Count(Own(at.page.starts) & BitsBefore(at.unit))].owner,
        owner);
  return true;
}

void AddressMap::CheckInvariants() const {
  std::size_t blocks = 0;
  for (std::size_t i = 0; i < covered_; ++i) {
    const Chunk& chunk = *chunks_[i].load(std::memory_order_relaxed);
    TIERLIB_CHECK((Own(chunk.any_rows) != 0) == ((Own(any_chunks_[i / kPerWord]) & BitOf(i)) != 0),
                  "AddressMap M1: of a chunk");
    for (std::size_t at = 0; at < kPagesPerChunk; ++at) {
      const Page& page = chunk.pages[at];
      const std::size_t row = at / kPerWord;
      const std::uint64_t starts = Own(page.starts);
      const std::uint64_t word = Own(page.word);
      TIERLIB_CHECK((Own(chunk.any_pages[row]) != 0) == ((Own(chunk.any_rows) & BitOf(row)) != 0),
                    "AddressMap M1: of a row of pages");
      TIERLIB_CHECK((starts != 0) == ((Own(chunk.any_pages[row]) & BitOf(at)) != 0), "AddressMap M1: of a page");
      TIERLIB_CHECK((starts != 0) == (word != 0), "AddressMap M2: a page has a word and no start, or the other way");
      if (starts == 0) continue;
      blocks += Count(starts);
      TIERLIB_CHECK(
          starts == (PageWord::IsOne(word) ? BitOf(PageWord::StartOf(word)) : Own(PageWord::NodeOf(word)->starts)),
          "AddressMap M2: a page's word stands for other blocks");
    }
  }
  TIERLIB_CHECK(blocks == size_, "AddressMap M2: a block has no start, or a start no block");
  for (const Spare& spare : spare_) {
    TIERLIB_CHECK(spare.count > 0 || pieces_.empty(), "AddressMap M3: no spare node of a kind");
  }
}

}  // namespace tierlib
