#include "trace/trace_writer.h"

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "trace/block_index.h"
#include "trace/column_block.h"
#include "trace/format.h"

namespace tierlib::trace {
namespace {

constexpr std::uint32_t kLane = 1;
constexpr std::size_t kChunksWithoutIndex = 2;  // a file of so few is read as a whole

// Gaps that the header tells of by itself, or that a reader finds again.
bool IsInHeader(const Trace& trace, const Gap& gap) {
  switch (gap.reason) {
    case GapReason::kOverwritten: return gap.records > 0;
    case GapReason::kDropped: return trace.dropped > 0;
    case GapReason::kTruncated: return !trace.closed;
    case GapReason::kTorn:
    case GapReason::kDamaged: return false;
  }
  return false;
}

class Encoder {
 public:
  explicit Encoder(const Trace& trace) : trace_(trace), file_(kHeaderBytes, '\0') {}

  std::string Encode() && {
    Texts();
    Gaps();
    for (std::size_t first = 0; first < trace_.records.size(); first += kRecordsPerChunk) {
      Records(absl::MakeConstSpan(trace_.records).subspan(first, kRecordsPerChunk), first);
    }
    CloseBlocks();
    Index();
    Header();
    return std::move(file_);
  }

 private:
  // Grows the file by a sealed chunk with this payload, behind which nothing stands as long as the chunk is the last.
  void Chunk(ChunkKind kind, std::uint32_t lane, std::uint32_t sequence, std::string_view payload) {
    ChunkHeader header = {};
    header.magic = kChunkMagic;
    header.kind = static_cast<std::uint16_t>(kind);
    header.sealed = 1;
    header.lane = lane;
    header.sequence = sequence;
    header.used_bytes = static_cast<std::uint32_t>(payload.size());
    if (kind != ChunkKind::kBlocks) header.crc = ChunkCrc(header, payload.data());
    file_.resize(NextChunk());
    file_.append(reinterpret_cast<const char*>(&header), sizeof header);
    file_ += payload;
    ++chunks_;
  }

  std::size_t NextChunk() const { return kHeaderBytes + chunks_ * kChunkBytes; }

  void Texts() {
    std::vector<std::pair<std::uint32_t, std::string_view>> texts(trace_.labels.begin(), trace_.labels.end());
    std::sort(texts.begin(), texts.end());
    std::string payload;
    std::uint32_t sequence = 0;
    for (const auto& [label, whole] : texts) {
      const std::string_view text = whole.substr(0, kTextBytesMost);
      if (payload.size() + TextEntryBytes(text.size()) > kPayloadBytes) {
        Chunk(ChunkKind::kTexts, 0, sequence++, payload);
        payload.clear();
      }
      const TextHeader header = {label, static_cast<std::uint32_t>(text.size())};
      const std::size_t offset = payload.size();
      payload.resize(offset + TextEntryBytes(text.size()));
      memcpy(payload.data() + offset, &header, sizeof header);
      text.copy(payload.data() + offset + sizeof header, text.size());
    }
    if (!payload.empty()) Chunk(ChunkKind::kTexts, 0, sequence, payload);
  }

  void Gaps() {
    static_assert(Trace::kGapsMost * sizeof(GapEntry) <= kPayloadBytes, "all gaps fit into one chunk");
    std::string payload;
    for (const Gap& gap : trace_.gaps) {
      if (IsInHeader(trace_, gap)) continue;
      const GapEntry entry = {gap.begin_ns, gap.end_ns, gap.records, gap.lane, static_cast<std::uint32_t>(gap.reason)};
      payload.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    }
    if (!payload.empty()) Chunk(ChunkKind::kGaps, 0, 0, payload);
  }

  void Records(absl::Span<const Record> records, std::uint64_t first_record) {
    const absl::Span<const unsigned char> block = encoder_.Encode(records, kLane, first_record, {});
    if (block.size() > kPayloadBytes) {  // what cannot be compressed fits in two halves
      const std::size_t half = records.size() / 2;
      Records(records.subspan(0, half), first_record);
      Records(records.subspan(half), first_record + half);
      return;
    }
    if (blocks_.size() + block.size() > kPayloadBytes) CloseBlocks();
    BlockHeader header;
    memcpy(&header, block.data(), sizeof header);
    const std::uint64_t offset = NextChunk() + sizeof(ChunkHeader) + blocks_.size();
    index_.push_back({offset, header.first_record, header.begin_ns, header.end_ns, header.lane, header.record_count,
                      header.block_bytes, 0});
    blocks_.append(reinterpret_cast<const char*>(block.data()), block.size());
  }

  void CloseBlocks() {
    if (blocks_.empty()) return;
    Chunk(ChunkKind::kBlocks, kBlockLane, block_chunks_++, blocks_);
    blocks_.clear();
  }

  void Index() {
    if (chunks_ <= kChunksWithoutIndex || index_.empty()) return;
    const std::vector<unsigned char> bytes = EncodeIndex(index_);
    index_offset_ = NextChunk();
    file_.resize(index_offset_);
    file_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    chunks_ += (bytes.size() + kChunkBytes - 1) / kChunkBytes;
  }

  void Header() {
    FileHeader header = {};
    memcpy(header.magic, kMagic, sizeof kMagic);
    header.version = kVersion;
    header.header_bytes = kHeaderBytes;
    header.chunk_bytes = kChunkBytes;
    header.rank = trace_.rank;
    header.process_id = trace_.process_id;
    header.clock = static_cast<std::uint32_t>(ClockKind::kMonotonic);
    header.start_monotonic_ns = trace_.start_monotonic_ns;
    header.start_wall_ns = trace_.start_wall_ns;
    header.device_capacity = trace_.device_capacity;
    header.pinned_capacity = trace_.pinned_capacity;
    trace_.device.copy(header.device, sizeof header.device - 1);
    header.crc = HeaderCrc(header);
    header.closed = !trace_.closed ? kNotClosed : trace_.is_copy ? kCopied : kEnded;
    header.dropped = trace_.dropped;
    header.end_monotonic_ns = trace_.records.empty() ? trace_.start_monotonic_ns : trace_.records.back().time_ns;
    header.chunk_count = chunks_;
    for (const Gap& gap : trace_.gaps) {
      if (!IsInHeader(trace_, gap)) continue;
      if (gap.reason == GapReason::kDropped) {
        header.stopped_ns = gap.begin_ns;
        header.end_monotonic_ns = std::max(header.end_monotonic_ns, gap.end_ns);
      } else if (gap.reason == GapReason::kOverwritten) {
        header.overwritten = gap.records;
        header.overwritten_until_ns = gap.end_ns;
      }
    }
    header.end_crc = HeaderEndCrc(header);
    header.start_crc = HeaderStartCrc(header);
    std::copy(trace_.ceiling_bytes_per_s.begin(), trace_.ceiling_bytes_per_s.end(), header.ceiling_bytes_per_s);
    header.ceiling_crc = HeaderCeilingCrc(header);
    if (trace_.copy_limits.has_value()) {
      header.piece_bytes = trace_.copy_limits->piece_bytes;
      header.batch_bytes = trace_.copy_limits->batch_bytes;
      header.copy_limits_known = 1;
      header.copy_limits_crc = HeaderCopyLimitsCrc(header);
    }
    header.file_bytes = file_.size();
    header.index_offset = index_offset_;
    header.extent_crc = HeaderExtentCrc(header);
    memcpy(file_.data(), &header, sizeof header);
  }

  const Trace& trace_;
  std::string file_;
  std::uint64_t chunks_ = 0;
  BlockEncoder encoder_;
  std::string blocks_;  // of the chunk that comes next
  std::uint32_t block_chunks_ = 0;
  std::deque<IndexEntry> index_;
  std::uint64_t index_offset_ = 0;
};

}  // namespace

std::string EncodeTrace(const Trace& trace) { return Encoder(trace).Encode(); }

}  // namespace tierlib::trace
