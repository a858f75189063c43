// Records one after the other are those that ReadTrace gives at once.
#include "trace/record_stream.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/recorded_trace.h"
#include "trace/version1_file.h"

namespace tierlib::trace {
namespace {

void ExpectSame(const std::vector<Record>& a, const std::vector<Record>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(std::memcmp(&a[i], &b[i], sizeof(Record)), 0) << what << i;
}

std::vector<Record> Between(RecordSource& source, std::int64_t begin_ns, std::int64_t end_ns) {
  std::vector<Record> records;
  source.ForEachBetween(begin_ns, end_ns, [&](const Record& record) { records.push_back(record); });
  return records;
}

// In one pass and in many, all and a part, and again.
void ExpectStreamed(const std::string& bytes, const std::vector<std::size_t>& windows) {
  Trace whole = ReadTrace(bytes).value();
  TraceRecords in_memory(whole);
  for (const std::size_t window : windows) {
    const std::string what = "window " + std::to_string(window) + ", record ";
    const auto opened = RecordStream::Open(bytes, window);
    ASSERT_TRUE(opened.ok()) << opened.status();
    RecordStream& stream = **opened;
    EXPECT_EQ(stream.extent().records, whole.records.size());
    EXPECT_EQ(stream.extent().first_ns, in_memory.extent().first_ns);
    EXPECT_EQ(stream.extent().last_ns, in_memory.extent().last_ns);
    EXPECT_EQ(stream.about().problem_count, whole.problem_count);
    EXPECT_EQ(stream.about().gaps.size(), whole.gaps.size());
    EXPECT_EQ(stream.about().labels, whole.labels);
    EXPECT_TRUE(stream.about().records.empty());
    const std::int64_t begin = in_memory.extent().first_ns;
    const std::int64_t length = in_memory.extent().last_ns - begin;
    for (int i = 0; i < 2; ++i) {
      ExpectSame(Between(stream, RecordSource::kFirstNs, RecordSource::kLastNs), whole.records, what);
    }
    ExpectSame(Between(stream, begin + length / 3, begin + length / 2),
               Between(in_memory, begin + length / 3, begin + length / 2), "part, " + what);
    EXPECT_TRUE(Between(stream, begin + 1, begin).empty());
  }
}

// Three threads at once, and a device that tells of what was before: blocks lie over each other in time.
void RecordThreads(Recorder& recorder, std::uint64_t records) {
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&recorder, records, thread] {
      Random random(thread);
      const std::int64_t base = 1'000'000;
      for (std::uint64_t i = 0; i < records; ++i) {
        if (thread != 2) {
          recorder.Write(Event::kPack, Tag::kSaved, 0, 0, thread, i);
        } else {
          const auto time = base + static_cast<std::int64_t>(random.UniformInt(records / 4));  // many at one time
          recorder.WriteAt(time, Event::kTransferEnd, Tag::kSaved, 0, 0, thread, i);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(RecordStream, GivesTheRecordsOfAProgram) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 4 * kRecordsPerChunk + 100;
  std::string open;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    (void)recorder->Intern("a text");
    RecordThreads(*recorder, kRecords);
    open = ReadWhole(folder / "a.tlt");  // some of it in ticks, in chunks
  }
  const std::string closed = ReadWhole(folder / "a.tlt");
  EXPECT_EQ(ReadTrace(closed).value().records.size(), 3 * kRecords);
  ExpectStreamed(closed, {0, 5'000, 701});
  ExpectStreamed(open, {0, 3'000});
  std::string damaged = closed;
  damaged[kHeaderBytes + 3 * kChunkBytes / 2] ^= 1;
  ExpectStreamed(damaged, {4'000});
  ExpectStreamed(closed.substr(0, closed.size() / 2), {4'000});
}

TEST(RecordStream, OfRecordsAtOneTimeKeepsTheirOrder) {
  TemporaryFolder folder;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    for (std::uint64_t i = 0; i < kRecordsPerChunk + 9; ++i) recorder->WriteAt(5, Event::kPack, Tag::kNone, 0, 0, 1, i);
  }
  ExpectStreamed(ReadWhole(folder / "a.tlt"), {100, 2'000, 10'000});
}

// Each chunk is a lane of its own whose records lie between `first + 0` and `first + 9`, where `first` is the number of
// its group of `lanes` times 10.
std::string ChunksOverEachOther(std::uint32_t chunks, std::uint32_t lanes) {
  std::string bytes = HeaderOfVersion1(chunks);
  bytes.reserve(kHeaderBytes + chunks * kChunkBytes);
  std::string payload(kRecordsPerChunk * sizeof(Record), '\0');
  for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
    for (std::size_t i = 0; i < kRecordsPerChunk; ++i) {
      const auto time = static_cast<std::int64_t>(chunk / lanes * 10 + i * 10 / kRecordsPerChunk);
      const Record record = {time, Event::kPack, Tag::kSaved, 0, 1, chunk, i};
      std::memcpy(payload.data() + i * sizeof record, &record, sizeof record);
    }
    AppendChunk(bytes, ChunkKind::kRecords, chunk, 0, payload);
  }
  return bytes;
}

TEST(RecordStream, TakesAsWideAWindowAsTheBlocksOverEachOther) {
  constexpr std::uint32_t kLanes = 68;  // 139,000 records: more than the least
  static_assert(kLanes * kRecordsPerChunk > RecordStream::kWindowLeast);
  const std::string bytes = ChunksOverEachOther(10 * kLanes, kLanes);
  ASSERT_GT(bytes.size() / RecordStream::kBytesPerWindowRecord, kLanes * kRecordsPerChunk);
  EXPECT_EQ((*RecordStream::Open(bytes))->window(), kLanes * kRecordsPerChunk);
  const std::string few = ChunksOverEachOther(10 * kLanes, 3);
  EXPECT_EQ((*RecordStream::Open(few))->window(), RecordStream::kWindowLeast);
}

// Where all blocks lie over each other the window grows with the file, so the passes over it do not.
TEST(RecordStream, TakesAWindowOfNoMoreThanAQuarterOfTheFile) {
  constexpr std::uint32_t kLanes = 700;
  const std::string bytes = ChunksOverEachOther(kLanes, kLanes);
  const auto stream = std::move(RecordStream::Open(bytes)).value();
  EXPECT_EQ(stream->window(), bytes.size() / RecordStream::kBytesPerWindowRecord);
  std::uint64_t records = 0;
  std::int64_t last_ns = 0;
  stream->ForEach([&](const Record& record) {
    EXPECT_GE(record.time_ns, last_ns);
    last_ns = record.time_ns;
    ++records;
  });
  EXPECT_EQ(records, kLanes * kRecordsPerChunk);
}

TEST(RecordStream, OfNothing) {
  EXPECT_EQ(RecordStream::Open("no trace").status().code(), StatusCode::kDataLoss);
  Trace about;
  about.process_id = 3;
  RecordStream nothing(about);
  EXPECT_EQ(nothing.about().process_id, 3u);
  EXPECT_EQ(nothing.extent().records, 0u);
  EXPECT_TRUE(Between(nothing, RecordSource::kFirstNs, RecordSource::kLastNs).empty());
  TemporaryFolder folder;
  (void)OpenAt(folder / "a.tlt");
  ExpectStreamed(ReadWhole(folder / "a.tlt"), {1});
}

}  // namespace
}  // namespace tierlib::trace
