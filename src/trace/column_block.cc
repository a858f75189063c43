#include "trace/column_block.h"

#include <string.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/check.h"
#include "base/round_up.h"

namespace tierlib::trace {
namespace {

constexpr int kColumns = 7;
constexpr int kCompressionLevel = 1;  // 3 takes twice the time for 4 % fewer bytes
constexpr std::size_t kEventCodes = 256;
constexpr std::size_t kBlockBytesMost =
    sizeof(BlockHeader) + kEventCodes * sizeof(EventCount) + ColumnBytesMost(kRecordsPerChunk) + 8;

std::uint64_t ZigZag(std::uint64_t difference) {
  return difference << 1 ^ static_cast<std::uint64_t>(static_cast<std::int64_t>(difference) >> 63);
}
std::uint64_t UnZigZag(std::uint64_t value) { return value >> 1 ^ (~(value & 1) + 1); }

unsigned char* PutVarint(unsigned char* to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<unsigned char>(value | 0x80);
  *to++ = static_cast<unsigned char>(value);
  return to;
}

// One column being read. Reading beyond its end gives zeros and spoils it.
class Column {
 public:
  Column() = default;
  Column(const unsigned char* begin, const unsigned char* end) : next_(begin), end_(end) {}
  std::uint8_t Byte() {
    if (next_ == end_) {
      spoiled_ = true;
      return 0;
    }
    return *next_++;
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = Byte();
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    spoiled_ = true;
    return 0;
  }
  // All of it was read, and no more.
  bool IsRight() const { return !spoiled_ && next_ == end_; }

 private:
  const unsigned char* next_ = nullptr;
  const unsigned char* end_ = nullptr;
  bool spoiled_ = false;
};

void Summarise(absl::Span<const Record> records, BlockHeader& header, std::array<std::uint32_t, kEventCodes>& counts) {
  header.begin_ns = header.end_ns = records[0].time_ns;
  header.subject_least = header.subject_most = records[0].subject;
  header.value_least = header.value_most = records[0].value;
  for (const Record& record : records) {
    header.begin_ns = std::min(header.begin_ns, record.time_ns);
    header.end_ns = std::max(header.end_ns, record.time_ns);
    header.subject_least = std::min(header.subject_least, record.subject);
    header.subject_most = std::max(header.subject_most, record.subject);
    header.value_least = std::min(header.value_least, record.value);
    header.value_most = std::max(header.value_most, record.value);
    ++counts[static_cast<std::size_t>(record.event)];
    if (record.event == Event::kTransferEnd && record.detail < kDirectionCodeCount) {
      header.transfer_bytes[record.detail] += record.value;
    }
  }
}

}  // namespace

struct BlockEncoder::Compressor {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ~Compressor() { ZSTD_freeCCtx(context); }
};

BlockEncoder::BlockEncoder()
    : compressor_(std::make_unique<Compressor>()),
      columns_(ColumnBytesMost(kRecordsPerChunk)),
      block_(kBlockBytesMost + ZSTD_compressBound(ColumnBytesMost(kRecordsPerChunk))) {
  if (compressor_->context == nullptr) throw std::bad_alloc();
  // The context makes its tables at the first use: now, rather than where memory may be short.
  ZSTD_compressCCtx(compressor_->context, block_.data(), block_.size(), columns_.data(), columns_.size(),
                    kCompressionLevel);
}

BlockEncoder::~BlockEncoder() = default;

// Returns how many bytes of columns_ there are.
std::size_t BlockEncoder::WriteColumns(absl::Span<const Record> records, std::int64_t begin_ns) {
  unsigned char* to = columns_.data() + kColumns * sizeof(std::uint32_t);
  const unsigned char* begin = to;
  int column = 0;
  const auto end_column = [&] {
    const auto bytes = static_cast<std::uint32_t>(to - begin);
    memcpy(columns_.data() + static_cast<std::size_t>(column) * sizeof bytes, &bytes, sizeof bytes);
    begin = to;
    ++column;
  };
  const auto put_differences = [&](std::uint64_t Record::*field) {
    std::array<std::uint64_t, kEventCodes> before = {};
    for (const Record& record : records) {
      std::uint64_t& last = before[static_cast<std::size_t>(record.event)];
      to = PutVarint(to, ZigZag(record.*field - last));
      last = record.*field;
    }
    end_column();
  };
  std::uint64_t time = static_cast<std::uint64_t>(begin_ns);
  for (const Record& record : records) {
    to = PutVarint(to, ZigZag(static_cast<std::uint64_t>(record.time_ns) - time));
    time = static_cast<std::uint64_t>(record.time_ns);
  }
  end_column();
  for (const Record& record : records) *to++ = static_cast<unsigned char>(record.event);
  end_column();
  for (const Record& record : records) *to++ = static_cast<unsigned char>(record.tag);
  end_column();
  for (const Record& record : records) to = PutVarint(to, record.detail);
  end_column();
  for (const Record& record : records) to = PutVarint(to, record.label);
  end_column();
  put_differences(&Record::subject);
  put_differences(&Record::value);
  return static_cast<std::size_t>(to - columns_.data());
}

absl::Span<const unsigned char> BlockEncoder::Encode(absl::Span<const Record> records, std::uint32_t lane,
                                                     std::uint64_t first_record, ClockPair clock) {
  TIERLIB_CHECK(!records.empty() && records.size() <= kRecordsPerChunk, "a block is made of a chunk");
  BlockHeader header = {};
  std::array<std::uint32_t, kEventCodes> counts = {};
  Summarise(records, header, counts);
  header.magic = kBlockMagic;
  header.lane = lane;
  header.first_record = first_record;
  header.record_count = static_cast<std::uint32_t>(records.size());
  header.clock = clock;
  header.column_bytes = static_cast<std::uint32_t>(WriteColumns(records, header.begin_ns));
  unsigned char* to = block_.data() + sizeof header;
  for (std::size_t event = 0; event < kEventCodes; ++event) {
    if (counts[event] == 0) continue;
    const EventCount row = {static_cast<std::uint8_t>(event), {}, counts[event]};
    memcpy(to, &row, sizeof row);
    to += sizeof row;
    ++header.event_rows;
  }
  const std::size_t room = static_cast<std::size_t>(block_.data() + block_.size() - to);
  const std::size_t compressed =
      ZSTD_compressCCtx(compressor_->context, to, room, columns_.data(), header.column_bytes, kCompressionLevel);
  if (ZSTD_isError(compressed) != 0 || compressed >= header.column_bytes) {
    memcpy(to, columns_.data(), header.column_bytes);
    header.compressed_bytes = header.column_bytes;
  } else {
    header.compressed_bytes = static_cast<std::uint32_t>(compressed);
  }
  to += header.compressed_bytes;
  const std::size_t used = static_cast<std::size_t>(to - block_.data());
  const std::size_t bytes = RoundUpTo(std::max(used, records.size() * kBlockBytesPerRecord), 8);
  memset(to, 0, bytes - used);
  header.block_bytes = static_cast<std::uint32_t>(bytes);
  memcpy(block_.data(), &header, sizeof header);
  header.crc = BlockCrc(header, block_.data());
  memcpy(block_.data(), &header, sizeof header);
  return {block_.data(), bytes};
}

std::size_t ClaimedBlockBytes(std::string_view block) {
  if (block.size() < sizeof(BlockHeader)) return 0;
  BlockHeader header;
  memcpy(&header, block.data(), sizeof header);
  const bool may_be = header.magic == kBlockMagic && header.block_bytes % 8 == 0 &&
                      header.block_bytes >= sizeof header && header.block_bytes <= block.size();
  return may_be ? header.block_bytes : 0;
}

bool ReadBlockHeader(std::string_view block, BlockHeader* header) {
  if (ClaimedBlockBytes(block) == 0) return false;
  memcpy(header, block.data(), sizeof *header);
  const std::uint64_t used =
      sizeof *header + std::uint64_t{header->event_rows} * sizeof(EventCount) + std::uint64_t{header->compressed_bytes};
  return header->record_count > 0 && header->record_count <= kRecordsPerChunk && header->event_rows <= kEventCodes &&
         used <= header->block_bytes && header->record_count * kBlockBytesPerRecord <= header->block_bytes &&
         header->column_bytes <= ColumnBytesMost(header->record_count) &&
         header->compressed_bytes <= header->column_bytes && header->begin_ns <= header->end_ns &&
         header->first_record <= ~std::uint64_t{0} - header->record_count &&
         header->crc == BlockCrc(*header, block.data());
}

namespace {

struct Decompressor {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  Decompressor() {
    if (context == nullptr) throw std::bad_alloc();
  }
  ~Decompressor() { ZSTD_freeDCtx(context); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
};

// False where the frame is none of as many bytes.
bool Decompress(const char* frame, std::size_t bytes, std::vector<unsigned char>& to) {
  // One for each thread that reads, until it ends: to make one takes longer than a block.
  thread_local Decompressor decompressor;
  return ZSTD_decompressDCtx(decompressor.context, to.data(), to.size(), frame, bytes) == to.size();
}

}  // namespace

const char* BlockDecoder::Decode(std::string_view block, const BlockHeader& header, std::vector<Record>& records) {
  const char* data = block.data() + sizeof header + header.event_rows * sizeof(EventCount);
  std::uint32_t sizes[kColumns];
  if (header.column_bytes < sizeof sizes) return "its columns are cut";
  columns_.resize(header.column_bytes);
  if (header.compressed_bytes == header.column_bytes) {
    memcpy(columns_.data(), data, header.column_bytes);
  } else if (!Decompress(data, header.compressed_bytes, columns_)) {
    return "its columns cannot be decompressed";
  }
  memcpy(sizes, columns_.data(), sizeof sizes);
  Column columns[kColumns];
  std::size_t at = sizeof sizes;
  for (int i = 0; i < kColumns; ++i) {
    if (sizes[i] > columns_.size() - at) return "its columns are cut";
    columns[i] = {columns_.data() + at, columns_.data() + at + sizes[i]};
    at += sizes[i];
  }
  const std::size_t first = records.size();
  records.resize(first + header.record_count);
  std::array<std::uint64_t, kEventCodes> subjects = {};
  std::array<std::uint64_t, kEventCodes> values = {};
  std::uint64_t time = static_cast<std::uint64_t>(header.begin_ns);
  for (std::size_t i = first; i < records.size(); ++i) {
    Record& record = records[i];
    record.time_ns = static_cast<std::int64_t>(time += UnZigZag(columns[0].Varint()));
    const std::uint8_t event = columns[1].Byte();
    record.event = static_cast<Event>(event);
    record.tag = static_cast<Tag>(columns[2].Byte());
    record.detail = static_cast<std::uint16_t>(columns[3].Varint());
    record.label = static_cast<std::uint32_t>(columns[4].Varint());
    record.subject = subjects[event] += UnZigZag(columns[5].Varint());
    record.value = values[event] += UnZigZag(columns[6].Varint());
  }
  const bool in_range =
      std::all_of(records.begin() + static_cast<std::ptrdiff_t>(first), records.end(),
                  [&](const Record& r) { return r.time_ns >= header.begin_ns && r.time_ns <= header.end_ns; });
  if (at != columns_.size() || !in_range ||
      !std::all_of(columns, columns + kColumns, [](const Column& c) { return c.IsRight(); })) {
    records.resize(first);
    return "its columns do not hold what its header says";
  }
  return nullptr;
}

}  // namespace tierlib::trace
