#include "allocator/address_map_words.h"

namespace tierlib {

using address_map::BitOf;
using address_map::BitsBefore;
using address_map::BitsUpTo;
using address_map::Chunk;
using address_map::Count;
using address_map::Highest;
using address_map::kPagesPerChunk;
using address_map::kPerWord;
using address_map::kTagShift;
using address_map::Node;
using address_map::Own;
using address_map::Page;
using address_map::PageWord;
using address_map::Read;
using address_map::Slot;

// A bit above may be set where the word below is zero, for as long as a writer is about to clear it or to see to it:
// the search goes on below.
std::size_t AddressMap::LastPage(std::size_t unit) const {
  const std::size_t page = unit / kPerWord;
  const std::size_t row = page / kPerWord;
  const std::size_t chunk_index = row / kPerWord;
  const Chunk* const chunk = chunks_[chunk_index].load(std::memory_order_acquire);
  if (chunk == nullptr) return LastPageBefore(chunk_index);
  std::uint64_t pages = Read(chunk->any_pages[row % kPerWord]) & BitsUpTo(page);
  if ((pages & BitOf(page)) != 0) {
    if ((Read(chunk->pages[page % kPagesPerChunk].starts) & BitsUpTo(unit)) != 0) return page;
    pages &= ~BitOf(page);
  }
  if (pages != 0) return row * kPerWord + Highest(pages);
  const std::size_t found = LastPageIn(*chunk, BitsBefore(row));
  return found != kNoPage ? chunk_index * kPagesPerChunk + found : LastPageBefore(chunk_index);
}

std::size_t AddressMap::LastPageIn(const Chunk& chunk, std::uint64_t rows) {
  for (rows &= Read(chunk.any_rows); rows != 0; rows &= ~BitOf(Highest(rows))) {
    const std::uint64_t pages = Read(chunk.any_pages[Highest(rows)]);
    if (pages != 0) return Highest(rows) * kPerWord + Highest(pages);
  }
  return kNoPage;
}

// The words above chunks are few: one for each 2^24 units.
std::size_t AddressMap::LastPageBefore(std::size_t chunk_end) const {
  for (std::size_t word = (chunk_end + kPerWord - 1) / kPerWord; word-- > 0;) {
    std::uint64_t chunks = Read(any_chunks_[word]);
    if (word == chunk_end / kPerWord) chunks &= BitsBefore(chunk_end);
    for (; chunks != 0; chunks &= ~BitOf(Highest(chunks))) {
      const std::size_t index = word * kPerWord + Highest(chunks);
      const std::size_t found = LastPageIn(*chunks_[index].load(std::memory_order_acquire), ~std::uint64_t{0});
      if (found != kNoPage) return index * kPagesPerChunk + found;
    }
  }
  return kNoPage;
}

bool AddressMap::Find(std::size_t offset, Found* found) const {
  const std::size_t unit = offset >> unit_bits_;
  for (;;) {
    const std::size_t page_index = LastPage(unit);
    if (page_index == kNoPage) return false;
    const Page& page =
        chunks_[page_index / kPagesPerChunk].load(std::memory_order_acquire)->pages[page_index % kPagesPerChunk];
    const std::size_t unit_in_page = page_index == unit / kPerWord ? unit % kPerWord : kPerWord - 1;
    const std::uint64_t word = Read(page.word);
    if (word == 0) continue;
    std::size_t start;
    std::uint64_t units;
    std::uint64_t tag;
    std::uint64_t owner;
    if (PageWord::IsOne(word)) {
      start = PageWord::StartOf(word);
      if (start > unit_in_page) continue;
      units = PageWord::UnitsOf(word);
      tag = Read(page.block) >> kTagShift;
      owner = Read(page.owner);
    } else {
      Node* const node = PageWord::NodeOf(word);
      const std::uint64_t starts = Read(node->starts) & BitsUpTo(unit_in_page);
      if (starts == 0) continue;
      start = Highest(starts);
      const Slot& slot = node->slots()[Count(starts) - 1];
      const std::uint64_t extent = Read(slot.extent);
      units = extent & ((std::uint64_t{1} << kTagShift) - 1);
      tag = extent >> kTagShift;
      owner = Read(slot.owner);
    }
    if (Own(page.word) != word) continue;
    const std::size_t first = page_index * kPerWord + start;
    if (unit - first >= units) return false;
    found->tag = static_cast<trace::Tag>(tag);
    found->offset = first << unit_bits_;
    found->in_block = offset - found->offset;
    found->bytes = static_cast<std::size_t>(units) << unit_bits_;
    found->owner = owner;
    return true;
  }
}

}  // namespace tierlib
