// Damaged and hostile files of version 1. reader_blocks_test has those of version 2.
#include "trace/reader.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "base/allocation_count.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/format.h"
#include "trace/version1_file.h"

namespace tierlib::trace {
namespace {

constexpr std::size_t kChunk0 = kHeaderBytes;  // texts: the first thing that the sample writes
constexpr std::size_t kChunk1 = kHeaderBytes + kChunkBytes;
constexpr std::uint64_t kRecords = 2 * kRecordsPerChunk + 100;

std::string TextEntry(std::uint32_t label, const std::string& text) {
  const TextHeader header = {label, static_cast<std::uint32_t>(text.size())};
  std::string entry(reinterpret_cast<const char*>(&header), sizeof header);
  entry += text;
  entry.resize(TextEntryBytes(text.size()));
  return entry;
}

// A closed trace of version 1, as its writer left it: a chunk of texts and three of records, whose values count up.
const std::string& Sample() {
  static const std::string& sample = *new std::string([] {
    std::string bytes = HeaderOfVersion1(4);
    AppendChunk(bytes, ChunkKind::kTexts, 0, 0, TextEntry(1, "some label") + TextEntry(2, "another label"));
    std::string payload;
    std::uint32_t sequence = 0;
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const Record record = {static_cast<std::int64_t>(i), Event::kPack, Tag::kSaved, 0, 1, 1, i};
      payload.append(reinterpret_cast<const char*>(&record), sizeof record);
      if (payload.size() == kRecordsPerChunk * sizeof record || i + 1 == kRecords) {
        AppendChunk(bytes, ChunkKind::kRecords, 1, sequence++, payload);
        payload.clear();
      }
    }
    return bytes;
  }());
  return sample;
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

TEST(Reader, ReadsTheSampleWithoutProblems) {
  const Trace trace = Read(Sample());
  EXPECT_EQ(trace.records.size(), kRecords);
  EXPECT_EQ(trace.problem_count, 0u);
  EXPECT_EQ(trace.device, "emulated:0");
}

TEST(Reader, RefusesWhatIsNoTrace) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(8192, '\0'), std::string("{\"traceEvents\":[]}"),
        Sample().substr(1), Sample().substr(0, 7), Sample().substr(0, kHeaderBytes - 1)}) {
    EXPECT_EQ(ReadTrace(bytes).status().code(), StatusCode::kDataLoss);
  }
}

TEST(Reader, RefusesALaterVersionByItsNumber) {
  std::string bytes = Sample();
  Poke<std::uint32_t>(bytes, offsetof(FileHeader, version), 7);
  const Status status = ReadTrace(bytes).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("version 7"), std::string::npos) << status;
}

TEST(Reader, AHeaderAloneIsAnEmptyTrace) {
  const Trace trace = Read(Sample().substr(0, kHeaderBytes));
  EXPECT_TRUE(trace.records.empty());
  EXPECT_TRUE(Reports(trace, "4 of 4 chunks are missing"));
}

TEST(Reader, ABadHeaderChecksumLosesOnlyTheHeader) {
  std::string bytes = Sample();
  bytes[offsetof(FileHeader, device_capacity)] ^= 1;
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords);
  EXPECT_EQ(trace.device_capacity, 0u);
  EXPECT_EQ(trace.device, "");
  EXPECT_TRUE(Reports(trace, "the header has a bad checksum"));
}

TEST(Reader, ABadChunkIsLeftOutAndNamed) {
  std::string bytes = Sample();
  const std::size_t second_of_records = kChunk1 + kChunkBytes;
  bytes[second_of_records + 1000] ^= 0x10;
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - kRecordsPerChunk);
  ASSERT_EQ(trace.problem_count, 2u);  // and the jump in the lane's numbers behind it
  EXPECT_EQ(trace.problems[0].offset, second_of_records);
  EXPECT_TRUE(Reports(trace, "a chunk with a bad checksum is skipped"));
  EXPECT_TRUE(Reports(trace, "lane 1 continues with its chunk 2 where 1 was expected"));
}

TEST(Reader, EveryBitOfASealedChunkIsCovered) {
  // Of the header: all but the magic and the seal themselves, and the checksum's own bits.
  Random random(5);
  for (int i = 0; i < 300 / TIERLIB_RANDOM_SCALE + 20; ++i) {
    std::string bytes = Sample();
    const std::size_t used = sizeof(ChunkHeader) + kRecordsPerChunk * sizeof(Record);
    std::size_t at = 8 + random.UniformInt(used - 8);
    if (at >= offsetof(ChunkHeader, crc) && at < offsetof(ChunkHeader, first_record)) at = sizeof(ChunkHeader);
    bytes[kChunk1 + at] = static_cast<char>(bytes[kChunk1 + at] ^ (1 << random.UniformInt(8)));
    EXPECT_GT(Read(bytes).problem_count, 0u) << "byte " << at;
  }
}

TEST(Reader, ACutFileGivesWhatIsLeft) {
  const std::string& whole = Sample();
  const auto records_in = [](std::size_t size) {  // complete records in the first `size` bytes
    if (size <= kChunk1) return std::uint64_t{0};
    const std::size_t chunks = (size - kChunk1) / kChunkBytes;
    const std::size_t rest = (size - kChunk1) % kChunkBytes;
    const std::uint64_t in_rest = rest <= sizeof(ChunkHeader) ? 0 : (rest - sizeof(ChunkHeader)) / sizeof(Record);
    return std::min<std::uint64_t>(kRecords,
                                   chunks * kRecordsPerChunk + std::min<std::uint64_t>(in_rest, kRecordsPerChunk));
  };
  for (std::size_t size = kHeaderBytes; size < whole.size(); size += 4093) {
    const Trace trace = Read(whole.substr(0, size));
    ASSERT_EQ(trace.records.size(), records_in(size)) << size;
    for (std::size_t i = 0; i < trace.records.size(); ++i) ASSERT_EQ(trace.records[i].value, i);
    EXPECT_TRUE(Reports(trace, "chunks are missing or cut")) << size;
  }
}

TEST(Reader, ATornRecordEndsItsChunk) {
  std::string bytes = Sample();
  Poke<std::uint16_t>(bytes, kChunk1 + offsetof(ChunkHeader, sealed), 0);
  const std::size_t record = kChunk1 + sizeof(ChunkHeader) + 10 * sizeof(Record);
  std::memset(bytes.data() + record + 8, 0, 8);                                     // its commit word
  std::memset(bytes.data() + record + 32, 0, kChunk1 + kChunkBytes - record - 32);  // and nothing behind it
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - kRecordsPerChunk + 10);
  EXPECT_TRUE(Reports(trace, "a torn record is skipped"));
  EXPECT_TRUE(Reports(trace, "not sealed although the trace was ended"));
}

TEST(Reader, LyingLengthsAreRefused) {
  std::string bytes = Sample();
  Poke<std::uint32_t>(bytes, kChunk1 + offsetof(ChunkHeader, used_bytes), 0xFFFFFFFF);
  EXPECT_TRUE(Reports(Read(bytes), "a chunk with a bad length"));

  bytes = Sample();  // a text that claims to be longer than its chunk, in a chunk that is not sealed
  Poke<std::uint16_t>(bytes, kChunk0 + offsetof(ChunkHeader, sealed), 0);
  Poke<std::uint32_t>(bytes, kChunk0 + sizeof(ChunkHeader) + offsetof(TextHeader, bytes), 0xFFFFFFF0);
  const Trace trace = Read(bytes);
  EXPECT_TRUE(trace.labels.empty());
  EXPECT_TRUE(Reports(trace, "a torn text is skipped"));
  EXPECT_EQ(trace.LabelText(1), "label 1");

  bytes = Sample();
  Poke<std::uint64_t>(bytes, offsetof(FileHeader, chunk_count), ~std::uint64_t{0});
  EXPECT_TRUE(Reports(Read(bytes), "the end of the header has a bad checksum"));
}

TEST(Reader, UnknownEventsAndChunksAreLeftOut) {
  std::string bytes = Sample();
  Poke<std::uint16_t>(bytes, kChunk1 + offsetof(ChunkHeader, sealed), 0);
  bytes[kChunk1 + sizeof(ChunkHeader) + 8] = static_cast<char>(250);
  Trace trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - 1);
  EXPECT_TRUE(Reports(trace, "unknown event 250"));

  bytes = Sample();
  Poke<std::uint16_t>(bytes, kChunk1 + offsetof(ChunkHeader, kind), 9);
  auto header = ChunkHeader{};
  std::memcpy(&header, bytes.data() + kChunk1, sizeof header);
  Poke<std::uint32_t>(bytes, kChunk1 + offsetof(ChunkHeader, crc),
                      ChunkCrc(header, bytes.data() + kChunk1 + sizeof header));
  trace = Read(bytes);
  EXPECT_EQ(trace.records.size(), kRecords - kRecordsPerChunk);
  EXPECT_TRUE(Reports(trace, "a chunk of unknown kind 9"));
}

TEST(Reader, KeepsABoundedListOfProblems) {
  std::string bytes = Sample();
  bytes.resize(kHeaderBytes);
  for (int i = 0; i < 500; ++i) bytes += std::string(kChunkBytes, 'x');
  const Trace trace = Read(bytes);
  EXPECT_EQ(trace.problems.size(), Trace::kProblemsMost);
  EXPECT_EQ(trace.problem_count, 500u);
}

// A text for each would be most of the time that reading a hostile file takes.
TEST(Reader, BuildsNoTextsOfProblemsThatAreNotKept) {
  std::string bytes = Sample();
  for (std::size_t i = 0; i < kRecordsPerChunk; ++i) {
    bytes[kChunk1 + sizeof(ChunkHeader) + i * sizeof(Record) + 8] = static_cast<char>(250);
  }
  Poke<std::uint16_t>(bytes, kChunk1 + offsetof(ChunkHeader, sealed), 0);
  const std::int64_t before = AllocationCount();
  const Trace trace = Read(bytes);
  EXPECT_LT(AllocationCount() - before, 1'000);
  EXPECT_EQ(trace.problem_count, kRecordsPerChunk + 1);
}

TEST(Reader, RefusesAFileThatNoMemoryHolds) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer ends a program that asks for as much";
#endif
  const int descriptor = memfd_create("sparse", MFD_CLOEXEC);
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(ftruncate(descriptor, off_t{5} << 60), 0);  // all of it a hole
  const Status status = ReadTraceDescriptor(descriptor, "sparse").status();
  close(descriptor);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("not enough memory to read sparse"), std::string::npos) << status;
}

TEST(Reader, SaysWhyAFileCannotBeRead) {
  TemporaryFolder folder;
  EXPECT_EQ(ReadTraceFile(folder / "none").status().code(), StatusCode::kNotFound);
  const Status status = ReadTraceFile(folder.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnknown);
  EXPECT_NE(status.message().find(folder.path()), std::string::npos) << status;
}

// Damage of every kind to a small trace; the sanitizers watch. What is read must also be fit for use.
TEST(Reader, SurvivesRandomDamage) {
  constexpr std::uint64_t kSeed = 1234;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (int round = 0; round < 3'000 / TIERLIB_RANDOM_SCALE; ++round) {
    std::string bytes = Sample();
    const int damages = 1 + static_cast<int>(random.UniformInt(4));
    for (int i = 0; i < damages; ++i) {
      // Mostly where structure is: the header, chunk headers, the first texts and records.
      std::size_t at = random.UniformInt(bytes.size());
      if (random.UniformInt(4) != 0 && bytes.size() > kHeaderBytes + 256) {
        const std::size_t chunk = random.UniformInt((bytes.size() - kHeaderBytes) / kChunkBytes + 1);
        at = chunk == 0 ? random.UniformInt(sizeof(FileHeader))
                        : std::min(kHeaderBytes + (chunk - 1) * kChunkBytes + random.UniformInt(128), bytes.size() - 1);
      }
      switch (random.UniformInt(5)) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.UniformInt(8))); break;
        case 1: Poke(bytes, std::min(at, bytes.size() - 8), random.NextU64()); break;
        case 2: bytes.resize(std::max<std::size_t>(at, 64)); break;
        case 3: bytes.erase(at, 1 + random.UniformInt(64)); break;
        default: std::memset(bytes.data() + at, 0, std::min<std::size_t>(bytes.size() - at, 64)); break;
      }
      if (bytes.size() < 64) bytes.resize(64);
    }
    const StatusOr<Trace> trace = ReadTrace(bytes);
    if (!trace.ok()) {
      ASSERT_FALSE(trace.status().message().empty());
      continue;
    }
    ASSERT_LE(trace->records.size() * sizeof(Record), bytes.size());
    ASSERT_TRUE(std::is_sorted(trace->records.begin(), trace->records.end(),
                               [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; }));
    for (const Record& record : trace->records) ASSERT_TRUE(IsKnownEvent(static_cast<std::uint8_t>(record.event)));
  }
}

}  // namespace
}  // namespace tierlib::trace
