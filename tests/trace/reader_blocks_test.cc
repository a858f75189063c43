// Damaged and hostile files of version 2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/column_block.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

constexpr std::uint64_t kRecords = 20 * kRecordsPerChunk + 100;

// A closed trace: texts, 21 blocks, an index.
const std::string& Sample() {
  static const std::string& sample = *new std::string([] {
    TemporaryFolder folder;
    RecorderOptions options;
    options.path = folder / "a.tlt";
    {
      const auto recorder = std::move(Recorder::Open(options)).value();
      const std::uint32_t label = recorder->Intern("some label");
      Random random(2);
      for (std::uint64_t i = 0; i < kRecords; ++i) {
        recorder->WriteAt(static_cast<std::int64_t>(i * 10), Event::kPack, Tag::kSaved, 0, label, random.NextU32(), i);
      }
    }
    return ReadWhole(options.path);
  }());
  return sample;
}

struct Block {
  std::size_t offset = 0;
  BlockHeader header;
};

std::vector<Block> Blocks(const std::string& bytes) {
  std::vector<Block> blocks;
  for (std::size_t at = kHeaderBytes; at + sizeof(BlockHeader) <= bytes.size(); at += 8) {
    Block block;
    if (ReadBlockHeader(std::string_view(bytes).substr(at, kChunkBytes), &block.header)) {
      block.offset = at;
      blocks.push_back(block);
    }
  }
  // The last chunks were moved to where chunks of records had been.
  std::sort(blocks.begin(), blocks.end(),
            [](const Block& a, const Block& b) { return a.header.first_record < b.header.first_record; });
  return blocks;
}

Trace Read(const std::string& bytes) {
  StatusOr<Trace> trace = ReadTrace(bytes);
  EXPECT_TRUE(trace.ok()) << trace.status();
  return std::move(trace).value();
}

bool Reports(const Trace& trace, const std::string& what) {
  return std::any_of(trace.problems.begin(), trace.problems.end(),
                     [&](const Problem& problem) { return problem.what.find(what) != std::string::npos; });
}

template <typename T>
void Poke(std::string& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// A chunk of records with what a program that was killed left of it: `records` complete ones, times in nanoseconds.
std::string RawChunk(std::uint32_t lane, std::uint64_t first_record, std::uint64_t records) {
  ChunkHeader header = {};
  header.magic = kChunkMagic;
  header.kind = static_cast<std::uint16_t>(ChunkKind::kRecords);
  header.lane = lane;
  header.first_record = first_record;
  std::string chunk(reinterpret_cast<const char*>(&header), sizeof header);
  for (std::uint64_t i = first_record; i < first_record + records; ++i) {
    Record record = {static_cast<std::int64_t>(i * 10), Event::kPack, Tag::kSaved, 0, 1 | kTimeIsNs, 1, i};
    chunk.append(reinterpret_cast<const char*>(&record), sizeof record);
  }
  chunk.resize(kChunkBytes);
  return chunk;
}

// The sample with one more chunk.
std::string WithChunk(const std::string& chunk) {
  std::string bytes = Sample();
  bytes.resize(kHeaderBytes + (bytes.size() - kHeaderBytes + kChunkBytes - 1) / kChunkBytes * kChunkBytes);
  Poke<std::uint32_t>(bytes, offsetof(FileHeader, closed), kNotClosed);
  return bytes + chunk;
}

void ExpectCounting(const Trace& trace, std::uint64_t records) {
  ASSERT_EQ(trace.records.size(), records);
  for (std::uint64_t i = 0; i < records; ++i) ASSERT_EQ(trace.records[i].value, i);
}

TEST(ReaderBlocks, ReadsTheSampleWithoutProblems) {
  const Trace trace = Read(Sample());
  ExpectCounting(trace, kRecords);
  EXPECT_EQ(trace.problem_count, 0u);
  EXPECT_TRUE(trace.gaps.empty());
  EXPECT_EQ(trace.LabelText(trace.records[0].label), "some label");
  EXPECT_EQ(Blocks(Sample()).size(), 21u);
}

TEST(ReaderBlocks, ADamagedBlockIsAGap) {
  std::string bytes = Sample();
  const Block block = Blocks(bytes)[5];
  bytes[block.offset + 200] ^= 1;
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - kRecordsPerChunk);
  EXPECT_TRUE(Reports(trace, "a block with a bad checksum is skipped"));
  EXPECT_TRUE(Reports(trace, "lane 1: 2047 records are missing before its record 12282"));
  ASSERT_EQ(trace.gaps.size(), 1u);
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kDamaged);
  EXPECT_EQ(trace.gaps[0].records, kRecordsPerChunk);
  EXPECT_EQ(trace.gaps[0].lane, 1u);
  EXPECT_EQ(trace.gaps[0].begin_ns, static_cast<std::int64_t>(5 * kRecordsPerChunk - 1) * 10);
  EXPECT_EQ(trace.gaps[0].end_ns, static_cast<std::int64_t>(6 * kRecordsPerChunk) * 10);
}

// The numbers of a lane's records do not tell that its last ones are missing: the index does.
TEST(ReaderBlocks, ALastBlockThatIsDamagedIsAGap) {
  std::string bytes = Sample();
  const Block block = Blocks(bytes).back();
  bytes[block.offset + 200] ^= 1;
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - 100);
  EXPECT_TRUE(Reports(trace, "lane 1: its last 100 records are missing"));
  ASSERT_EQ(trace.gaps.size(), 1u);
  EXPECT_EQ(trace.gaps[0].records, 100u);
  EXPECT_EQ(trace.gaps[0].begin_ns, trace.records.back().time_ns);
  EXPECT_EQ(trace.gaps[0].end_ns, static_cast<std::int64_t>(kRecords - 1) * 10);

  // Without the index, that something was damaged.
  Poke<std::uint32_t>(bytes, offsetof(FileHeader, closed), kNotClosed);
  FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Trace cut = Read(bytes.substr(0, header.index_offset));
  ASSERT_EQ(cut.gaps.size(), 2u);
  EXPECT_EQ(cut.gaps[0].reason, GapReason::kDamaged);
  EXPECT_EQ(cut.gaps[0].records, 0u);
  EXPECT_EQ(cut.gaps[1].reason, GapReason::kTruncated);
}

TEST(ReaderBlocks, ABlockWithABadLengthEndsItsChunk) {
  std::string bytes = Sample();
  const Block block = Blocks(bytes)[2];
  Poke<std::uint32_t>(bytes, block.offset + offsetof(BlockHeader, block_bytes), 1 << 30);
  const Trace trace = Read(bytes);
  EXPECT_LE(trace.records.size(), kRecords - kRecordsPerChunk);
  EXPECT_GT(trace.records.size(), 0u);
  EXPECT_TRUE(Reports(trace, "a block with a bad length and what follows it"));
  std::uint64_t missing = 0;
  for (const Gap& gap : trace.gaps) missing += gap.records;
  EXPECT_EQ(missing, kRecords - trace.records.size());
}

// Between the moment when a block is valid and the one when its chunk is free, a killed program leaves both.
TEST(ReaderBlocks, RecordsThatAreThereTwiceComeOnce) {
  for (const std::uint64_t first : {std::uint64_t{0}, 3 * kRecordsPerChunk, 20 * kRecordsPerChunk}) {
    SCOPED_TRACE(first);
    const Trace trace = Read(WithChunk(RawChunk(1, first, first == 20 * kRecordsPerChunk ? 100 : kRecordsPerChunk)));
    ExpectCounting(trace, kRecords);
    EXPECT_EQ(trace.problem_count, 1u);  // the missing end
  }
}

// Of a chunk that makes two blocks the first may be there alone.
TEST(ReaderBlocks, OfAChunkTheRecordsThatAreInNoBlockAreUsed) {
  const Trace trace = Read(WithChunk(RawChunk(1, 20 * kRecordsPerChunk, 1000)));
  ExpectCounting(trace, kRecords + 900);
  EXPECT_EQ(trace.problem_count, 1u);
}

TEST(ReaderBlocks, RecordsInChunksAfterMissingOnesAreUsed) {
  const Trace trace = Read(WithChunk(RawChunk(1, kRecords + 50, 7)));
  EXPECT_EQ(trace.records.size(), kRecords + 7);
  EXPECT_TRUE(Reports(trace, "lane 1: 50 records are missing"));
  ASSERT_EQ(trace.gaps.size(), 2u);
  EXPECT_EQ(trace.gaps[0].records, 50u);
  EXPECT_EQ(trace.gaps[1].reason, GapReason::kTruncated);
}

TEST(ReaderBlocks, ATornRecordIsAGap) {
  std::string chunk = RawChunk(2, 0, 5);
  chunk[sizeof(ChunkHeader) + 5 * sizeof(Record)] = 1;  // a time without its commit word
  const Trace trace = Read(WithChunk(chunk));
  EXPECT_EQ(trace.records.size(), kRecords + 5);
  EXPECT_TRUE(Reports(trace, "a torn record is skipped"));
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kTorn);
  EXPECT_EQ(trace.gaps[0].lane, 2u);
  EXPECT_EQ(trace.gaps[0].begin_ns, 40);
}

TEST(ReaderBlocks, AChunkThatWasGivenBackIsPassedOver) {
  std::string chunk = RawChunk(1, 0, kRecordsPerChunk);
  Poke<std::uint32_t>(chunk, 0, 0);  // its magic; what it held is still there
  const Trace trace = Read(WithChunk(chunk));
  ExpectCounting(trace, kRecords);
  EXPECT_EQ(trace.problem_count, 1u);
}

// A copy ends where its making began, in all lanes: of what was written meanwhile it has some and some not.
TEST(ReaderBlocks, ACopyEndsWhereItsMakingBegan) {
  const auto copy = [](std::int64_t end_ns) {
    std::string bytes = WithChunk(RawChunk(2, 0, 1000)) + RawChunk(2, kRecords + 50, 7);
    FileHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.closed = kCopied;
    header.end_monotonic_ns = end_ns;
    header.chunk_count = (bytes.size() - kHeaderBytes) / kChunkBytes;
    header.file_bytes = bytes.size();
    header.end_crc = HeaderEndCrc(header);
    header.extent_crc = HeaderExtentCrc(header);
    Poke(bytes, 0, header);
    return Read(bytes);
  };
  const Trace trace = copy(static_cast<std::int64_t>(kRecords) * 10);
  EXPECT_EQ(trace.problem_count, 0u) << (trace.problems.empty() ? "" : trace.problems[0].what);
  EXPECT_TRUE(trace.gaps.empty());
  EXPECT_EQ(trace.records.size(), kRecords + 1000);
  EXPECT_TRUE(Reports(copy(static_cast<std::int64_t>(kRecords) * 20), "lane 2: 40090 records are missing"));
}

TEST(ReaderBlocks, FirstRecordsBeyondAllNumbersAreRefused) {
  const Trace trace = Read(WithChunk(RawChunk(1, ~std::uint64_t{0} - 3, 3)));
  EXPECT_TRUE(Reports(trace, "a chunk with a bad first record is skipped"));
  ExpectCounting(trace, kRecords);
}

TEST(ReaderBlocks, ACutFileGivesTheBlocksThatAreLeft) {
  const std::string& whole = Sample();
  const std::vector<Block> blocks = Blocks(whole);
  for (std::size_t size = kHeaderBytes; size < whole.size(); size += 8 * 1031) {
    const Trace trace = Read(whole.substr(0, size));
    std::uint64_t records = 0;
    for (const Block& block : blocks) {
      if (block.offset + block.header.block_bytes <= size) records += block.header.record_count;
    }
    ASSERT_EQ(trace.records.size(), records) << size;
    EXPECT_TRUE(Reports(trace, "chunks are missing or cut")) << size;
    EXPECT_EQ(trace.gaps.back().reason, GapReason::kTruncated);
  }
}

bool HasTicks(const std::string& bytes) {
  std::uint32_t clock = 0;
  std::memcpy(&clock, bytes.data() + offsetof(FileHeader, clock), sizeof clock);
  return clock == static_cast<std::uint32_t>(ClockKind::kTicks);
}

// A lane's records keep their order where the clock pairs that its last block was made with are gone.
TEST(ReaderBlocks, TicksAreNotBeforeTheBlockThatTheyFollow) {
  std::string chunk = RawChunk(1, kRecords, 1);
  Poke<std::uint64_t>(chunk, sizeof(ChunkHeader), 1);  // the ticks of a moment before the trace
  Poke<std::uint32_t>(chunk, sizeof(ChunkHeader) + offsetof(Record, label), 1);
  const std::string bytes = WithChunk(chunk);
  if (!HasTicks(bytes)) GTEST_SKIP() << "records are stamped with nanoseconds";
  const Trace trace = Read(bytes);
  ExpectCounting(trace, kRecords + 1);
  EXPECT_EQ(trace.records.back().time_ns, static_cast<std::int64_t>(kRecords - 1) * 10);
}

TEST(ReaderBlocks, ABadStartOfTheClockIsReported) {
  std::string bytes = WithChunk(RawChunk(2, 0, 3));
  if (!HasTicks(bytes)) GTEST_SKIP() << "records are stamped with nanoseconds";
  bytes[offsetof(FileHeader, start_clock)] ^= 1;
  EXPECT_TRUE(Reports(Read(bytes), "the start of the clock has a bad checksum"));
}

// Damage of every kind; the sanitizers watch. What is read must also be fit for use.
TEST(ReaderBlocks, SurvivesRandomDamage) {
  Random random(4321);
  const std::string base = WithChunk(RawChunk(2, 0, 1000));
  for (int round = 0; round < 2'000 / TIERLIB_RANDOM_SCALE; ++round) {
    std::string bytes = base;
    for (std::uint64_t i = 1 + random.UniformInt(4); i > 0; --i) {
      const std::size_t chunk =
          kHeaderBytes + random.UniformInt((bytes.size() - kHeaderBytes) / kChunkBytes + 1) * kChunkBytes;
      std::size_t at =
          random.UniformInt(2) == 0 ? random.UniformInt(sizeof(FileHeader)) : chunk + random.UniformInt(400);
      at = std::min(at, bytes.size() - 64);
      switch (random.UniformInt(4)) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.UniformInt(8))); break;
        case 1: Poke(bytes, at, random.NextU64()); break;
        case 2: bytes.resize(std::max(at, std::size_t{512})); break;
        default: std::memset(bytes.data() + at, 0, 64); break;
      }
    }
    const StatusOr<Trace> trace = ReadTrace(bytes);
    if (!trace.ok()) {
      ASSERT_FALSE(trace.status().message().empty());
      continue;
    }
    ASSERT_LE(trace->records.size() * kBlockBytesPerRecord, bytes.size());
    ASSERT_LE(trace->gaps.size(), Trace::kGapsMost);
    ASSERT_TRUE(std::is_sorted(trace->records.begin(), trace->records.end(),
                               [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; }));
    for (const Record& record : trace->records) ASSERT_TRUE(IsKnownEvent(static_cast<std::uint8_t>(record.event)));
  }
}

}  // namespace
}  // namespace tierlib::trace
