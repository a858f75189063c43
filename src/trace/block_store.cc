#include "trace/block_store.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "base/failpoint.h"
#include "trace/block_index.h"

namespace tierlib::trace {
namespace {

Failpoint no_memory_for_index("trace.index_memory");

constexpr std::size_t kChunksLeast = 2;

}  // namespace

BlockStore::BlockStore(TraceFile& file, Mutex& file_mutex, std::uint64_t last_bytes)
    : file_(file),
      file_mutex_(file_mutex),
      chunks_most_(last_bytes == 0 ? 0 : std::max<std::size_t>(kChunksLeast, last_bytes / kChunkBytes)) {}

bool BlockStore::Append(absl::Span<const Record> records, std::uint32_t lane, std::uint64_t first_record,
                        ClockPair clock) {
  if (records.empty()) return true;
  const absl::Span<const unsigned char> block = encoder_.Encode(records, lane, first_record, clock);
  if (block.size() <= kPayloadBytes) return AppendBlock(block);
  // What cannot be compressed fits in two halves.
  const std::size_t half = records.size() / 2;
  return Append(records.subspan(0, half), lane, first_record, clock) &&
         Append(records.subspan(half), lane, first_record + half, clock);
}

bool BlockStore::AppendBlock(absl::Span<const unsigned char> block) {
  if (static_cast<std::size_t>(end_ - next_) < block.size() && !NextChunk()) return false;
  BlockHeader header;
  memcpy(&header, block.data(), sizeof header);
  constexpr std::size_t kCommit = sizeof header.magic;
  memcpy(next_ + kCommit, block.data() + kCommit, block.size() - kCommit);
  std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(next_))
      .store(kBlockMagic, std::memory_order_release);
  BlockChunk& open = chunks_.back();
  const std::uint64_t offset =
      kHeaderBytes + open.chunk.index * kChunkBytes + static_cast<std::uint64_t>(next_ - open.chunk.base);
  next_ += block.size();
  open.end_ns = open.blocks == 0 ? header.end_ns : std::max(open.end_ns, header.end_ns);
  open.records += header.record_count;
  ++open.blocks;
  AddToIndex({offset, header.first_record, header.begin_ns, header.end_ns, header.lane, header.record_count,
              header.block_bytes, 0});
  return true;
}

// Closes the chunk that is full, and opens another one.
bool BlockStore::NextChunk() {
  CloseChunk();
  try {
    chunks_.emplace_back();
  } catch (const std::bad_alloc&) {
    return false;
  }
  TraceFile::Chunk chunk;
  if (chunks_most_ != 0 && chunks_.size() > chunks_most_) chunk = OverwriteOldest();
  if (chunk.base == nullptr) {
    MutexLock lock(file_mutex_);
    chunk = file_.ClaimForBlocks();
  }
  if (chunk.base == nullptr && chunks_most_ != 0 && chunks_.size() > 1) chunk = OverwriteOldest();
  if (chunk.base == nullptr) {
    chunks_.pop_back();
    return false;
  }
  chunks_.back().chunk = chunk;
  auto* header = reinterpret_cast<ChunkHeader*>(chunk.base);
  header->kind = static_cast<std::uint16_t>(ChunkKind::kBlocks);
  header->lane = kBlockLane;
  header->sequence = sequence_++;
  std::atomic_ref<std::uint32_t>(header->magic).store(kChunkMagic, std::memory_order_release);
  next_ = chunk.base + sizeof(ChunkHeader);
  end_ = chunk.base + kChunkBytes;
  return true;
}

// The file says what is lost before it is.
TraceFile::Chunk BlockStore::OverwriteOldest() {
  const BlockChunk oldest = chunks_.front();
  chunks_.pop_front();
  for (std::size_t i = 0; i < oldest.blocks && !index_.empty(); ++i) index_.pop_front();
  FileHeader& header = file_.header();
  if (oldest.records > 0) {
    std::atomic_ref<std::int64_t> until(header.overwritten_until_ns);
    until.store(std::max(until.load(std::memory_order_relaxed), oldest.end_ns), std::memory_order_relaxed);
    std::atomic_ref<std::uint64_t>(header.overwritten).fetch_add(oldest.records, std::memory_order_release);
  }
  auto* chunk = reinterpret_cast<ChunkHeader*>(oldest.chunk.base);
  std::atomic_ref<std::uint32_t>(chunk->magic).store(0, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  memset(oldest.chunk.base, 0, kChunkBytes);
  return oldest.chunk;
}

void BlockStore::CloseChunk() {
  if (next_ == nullptr) return;
  const TraceFile::Chunk chunk = chunks_.back().chunk;
  auto* header = reinterpret_cast<ChunkHeader*>(chunk.base);
  header->used_bytes = static_cast<std::uint32_t>(next_ - chunk.base - static_cast<std::ptrdiff_t>(sizeof *header));
  std::atomic_ref<std::uint16_t>(header->sealed).store(1, std::memory_order_release);
  next_ = end_ = nullptr;
  if (chunks_most_ != 0) return;
  chunks_.pop_back();
  MutexLock lock(file_mutex_);
  file_.Retire(chunk.index);
}

void BlockStore::Finish() { CloseChunk(); }

void BlockStore::AddToIndex(const IndexEntry& entry) {
  if (!index_is_whole_) return;
  try {
    index_.push_back(entry);
  } catch (const std::bad_alloc&) {
    index_is_whole_ = false;  // readers scan
    index_.clear();
  }
}

void BlockStore::Moved(const std::vector<TraceFile::Move>& moves) {
  for (IndexEntry& entry : index_) {
    const std::uint64_t chunk = (entry.offset - kHeaderBytes) / kChunkBytes;
    for (const TraceFile::Move& move : moves) {
      if (move.from == chunk) entry.offset = entry.offset - move.from * kChunkBytes + move.to * kChunkBytes;
    }
  }
}

std::vector<unsigned char> BlockStore::MakeIndex() const try {
  if (no_memory_for_index.Fails()) throw std::bad_alloc();
  return index_is_whole_ ? EncodeIndex(index_) : std::vector<unsigned char>();
} catch (const std::bad_alloc&) {  // readers scan
  return {};
}

}  // namespace tierlib::trace
