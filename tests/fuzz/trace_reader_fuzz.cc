// Any bytes as a trace file, read at once and record by record. The first byte of the input chooses: the rest is the
// file as it is; or it describes one of version 1 or 2, whose header, chunk headers, blocks and checksums are made
// right unless it says otherwise, so that what lies behind them is reached, and a few bytes stand for chunks of 64 KiB.
#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/allocation_peak.h"
#include "base/check.h"
#include "trace/column_block.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/record_stream.h"

namespace tierlib::trace {
namespace {

constexpr std::size_t kChunksMost = 3;

// What reading may take, beside the file's bytes: what the readers' headers promise, and a mebibyte for what does not
// grow with the file (problems, gaps, the memory of the decoder). The limit is 64 MiB.
constexpr std::int64_t kFixedBytes = 1 << 20;
constexpr std::int64_t kBytesAtOnce = 26;  // for each byte of the file: a record in two, and half as much to sort them
constexpr std::size_t kPasses = 64;        // that a stream makes over files of many records

class Description {
 public:
  explicit Description(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  std::string_view Take(std::size_t count) {
    const std::string_view taken = bytes_.substr(0, std::min(count, bytes_.size()));
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  template <typename T>
  T Number() {
    T value{};
    const std::string_view taken = Take(sizeof(T));
    std::memcpy(&value, taken.data(), taken.size());
    return value;
  }

 private:
  std::string_view bytes_;
};

void AppendHeader(std::string& file, Description& description, std::uint32_t version) {
  const auto form = description.Number<std::uint8_t>();
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  header.version = version;
  header.header_bytes = kHeaderBytes;
  header.chunk_bytes = kChunkBytes;
  header.clock = form >> 7;
  header.start_clock[0] = {1000, 50};
  header.start_clock[1] = {2000, 2050};
  header.closed = form & 1;
  header.chunk_count = form >> 1 & 7;
  if ((form & 16) != 0) {  // any field, at any place
    const std::size_t offset = description.Number<std::uint16_t>() % (sizeof header - 8);
    const auto value = description.Number<std::uint64_t>();
    std::memcpy(reinterpret_cast<char*>(&header) + offset, &value, sizeof value);
  }
  if ((form & 32) == 0) header.crc = HeaderCrc(header);
  if ((form & 64) == 0) {
    header.end_crc = HeaderEndCrc(header);
    header.start_crc = HeaderStartCrc(header);
    header.extent_crc = HeaderExtentCrc(header);
    for (ClockSlot& slot : header.last_clock) slot.crc = ClockSlotCrc(slot);
  }
  file.append(reinterpret_cast<const char*>(&header), sizeof header);
  file.resize(kHeaderBytes);
}

void AppendChunk(std::string& file, Description& description) {
  const auto form = description.Number<std::uint8_t>();
  const auto payload_bytes = description.Number<std::uint8_t>();
  ChunkHeader header{};
  header.magic = (form & 1) != 0 ? description.Number<std::uint32_t>() : kChunkMagic;
  header.kind = (form & 2) != 0 ? 2 : (form & 4) != 0 ? description.Number<std::uint16_t>() : 1;
  header.sealed = form >> 3 & 1;
  header.lane = form >> 4 & 1;
  header.sequence = (form & 32) != 0 ? description.Number<std::uint32_t>() : 0;
  header.first_record = (form & 32) != 0 ? description.Number<std::uint64_t>() : 0;
  header.used_bytes = (form & 64) != 0 ? description.Number<std::uint32_t>() : payload_bytes;
  const std::string_view payload = description.Take(payload_bytes);
  const std::size_t begin = file.size();
  file.append(sizeof header, '\0');
  file += payload;
  if ((form & 128) == 0) {
    ChunkHeader within = header;
    within.used_bytes = std::min(header.used_bytes, static_cast<std::uint32_t>(kPayloadBytes));
    file.resize(std::max(file.size(), begin + sizeof header + within.used_bytes));
    header.crc = ChunkCrc(within, file.data() + begin + sizeof header);
  }
  std::memcpy(file.data() + begin, &header, sizeof header);
}

// A field of the header at any place, then the checksum.
void AppendBlock(std::string& payload, std::string block, std::uint8_t form, Description& description) {
  BlockHeader header;
  if ((form & 4) != 0) {
    const std::size_t offset = description.Number<std::uint8_t>() % (sizeof header - 4);
    const auto value = description.Number<std::uint32_t>();
    std::memcpy(block.data() + offset, &value, sizeof value);
  }
  std::memcpy(&header, block.data(), sizeof header);
  if ((form & 8) == 0 && header.block_bytes == block.size()) {
    header.crc = BlockCrc(header, block.data());
    std::memcpy(block.data(), &header, sizeof header);
  }
  if (payload.size() + block.size() <= kPayloadBytes) payload += block;
}

// A block of records that are described one by one, as the writer makes it.
std::string EncodedBlock(std::uint8_t form, Description& description) {
  static BlockEncoder& encoder = *new BlockEncoder;
  const auto lane = description.Number<std::uint8_t>() % 4u;
  const auto first_record = (form & 16) != 0 ? description.Number<std::uint64_t>() : description.Number<std::uint8_t>();
  const std::size_t count = description.Number<std::uint8_t>() % 32 + 1;
  std::vector<Record> records(count);
  std::int64_t time = 0;
  for (Record& record : records) {  // times may wrap around
    const std::int64_t step = (form & 32) != 0 ? description.Number<std::int64_t>() : description.Number<std::int8_t>();
    time = static_cast<std::int64_t>(static_cast<std::uint64_t>(time) + static_cast<std::uint64_t>(step));
    record.time_ns = time;
    record.event = static_cast<Event>(description.Number<std::uint8_t>());
    record.value = description.Number<std::uint8_t>();
  }
  const auto block = encoder.Encode(records, lane, first_record, {description.Number<std::uint16_t>(), time});
  return std::string(reinterpret_cast<const char*>(block.data()), block.size());
}

// A block whose columns, or zstd frame, are the description's bytes.
std::string PlainBlock(Description& description) {
  BlockHeader header = {};
  header.magic = kBlockMagic;
  header.lane = description.Number<std::uint8_t>() % 4u;
  header.first_record = description.Number<std::uint8_t>();
  header.record_count = description.Number<std::uint8_t>();
  header.end_ns = description.Number<std::uint16_t>();
  const std::string_view data = description.Take(description.Number<std::uint8_t>());
  header.compressed_bytes = static_cast<std::uint32_t>(data.size());
  header.column_bytes = header.compressed_bytes + description.Number<std::uint8_t>();
  std::string block(sizeof header, '\0');
  block += data;
  block.resize(std::max((block.size() + 7) / 8 * 8, header.record_count * kBlockBytesPerRecord / 8 * 8 + 8));
  header.block_bytes = static_cast<std::uint32_t>(block.size());
  std::memcpy(block.data(), &header, sizeof header);
  return block;
}

void AppendChunkOfBlocks(std::string& file, Description& description) {
  ChunkHeader header{};
  header.magic = kChunkMagic;
  header.kind = static_cast<std::uint16_t>(ChunkKind::kBlocks);
  header.lane = kBlockLane;
  std::string payload;
  for (auto blocks = description.Number<std::uint8_t>() % 4u; blocks > 0 && !description.empty(); --blocks) {
    const auto form = description.Number<std::uint8_t>();
    std::string block = (form & 1) != 0 ? EncodedBlock(form, description) : PlainBlock(description);
    AppendBlock(payload, std::move(block), form, description);
  }
  file.append(reinterpret_cast<const char*>(&header), sizeof header);
  file += payload;
}

// Large pieces of memory stay with the program: to have them from the system anew for each input took half of a run.
[[maybe_unused]] const bool keeps_memory =
    mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1 && mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1;

// Valid until the next call, which uses the same memory: to get as much anew each time took most of a run.
std::string_view Describe(Description description) {
  static std::string& file = *new std::string;
  file.clear();
  const auto form = description.Number<std::uint8_t>();
  const std::uint32_t version = form % 2 == 0 ? kVersionOfRecordsOnly : kVersion;
  AppendHeader(file, description, version);
  for (std::size_t chunk = 0; chunk < kChunksMost && !description.empty(); ++chunk) {
    if (chunk > 0) file.resize(kHeaderBytes + chunk * kChunkBytes);
    if (version == kVersion && description.Number<std::uint8_t>() % 2 != 0) {
      AppendChunkOfBlocks(file, description);
    } else {
      AppendChunk(file, description);
    }
  }
  // The last chunk ends with what is used of it, or where it would without a program's end.
  const std::size_t chunks = (file.size() - kHeaderBytes + kChunkBytes - 1) / kChunkBytes;
  if ((form & 2) != 0) file.resize(kHeaderBytes + chunks * kChunkBytes);
  if (!description.empty()) {
    file.resize(file.size() - std::min<std::size_t>(file.size(), description.Number<std::uint16_t>()));
  }
  return file;
}

// Record by record it is the same.
void CheckStream(std::string_view file, const Trace& trace) {
  const AllocationPeak peak;
  {
    const auto stream = RecordStream::Open(file, trace.records.size() / kPasses + 1);
    TIERLIB_CHECK(stream.ok(), "a file is readable at once alone");
    std::size_t next = 0;
    (*stream)->ForEach([&](const Record& record) {
      TIERLIB_CHECK(next < trace.records.size() && std::memcmp(&record, &trace.records[next], sizeof record) == 0,
                    "another record");
      ++next;
    });
    TIERLIB_CHECK(next == trace.records.size() && (*stream)->extent().records == next, "fewer records");
    const Trace& about = (*stream)->about();
    TIERLIB_CHECK(about.problem_count == trace.problem_count && about.gaps.size() == trace.gaps.size() &&
                      about.labels.size() == trace.labels.size(),
                  "another trace");
  }
  TIERLIB_CHECK(peak.bytes() <= static_cast<std::int64_t>(file.size()) + kFixedBytes, "a stream takes much memory");
}

void Check(std::string_view file) {
  const AllocationPeak peak;
  const StatusOr<Trace> trace = ReadTrace(file);
  TIERLIB_CHECK(peak.bytes() <= kBytesAtOnce * static_cast<std::int64_t>(file.size()) + kFixedBytes,
                "reading takes much memory");
  if (!trace.ok()) {
    const StatusCode code = trace.status().code();
    TIERLIB_CHECK(code == StatusCode::kDataLoss || code == StatusCode::kUnimplemented, "a status nobody promised");
    return;
  }
  TIERLIB_CHECK(trace->records.size() * kBlockBytesPerRecord <= file.size(), "more records than bytes");
  TIERLIB_CHECK(trace->problems.size() == std::min<std::uint64_t>(trace->problem_count, Trace::kProblemsMost),
                "problems are not counted");
  TIERLIB_CHECK(trace->gaps.size() <= Trace::kGapsMost, "too many gaps");
  for (const Gap& gap : trace->gaps) TIERLIB_CHECK(gap.begin_ns <= gap.end_ns, "a gap ends before it begins");
  TIERLIB_CHECK(std::is_sorted(trace->records.begin(), trace->records.end(),
                               [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; }),
                "records are not in the order of time");
  for (const Record& record : trace->records) (void)trace->LabelText(record.label);
  CheckStream(file, *trace);
}

}  // namespace
}  // namespace tierlib::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tierlib::trace::Check;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  if (input[0] % 4 == 0) {
    Check(input.substr(1));
  } else {
    Check(tierlib::trace::Describe(tierlib::trace::Description(input.substr(1))));
  }
  return 0;
}
