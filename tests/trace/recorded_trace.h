// What tests of the recorder share: traces that are recorded, and looked at.
#ifndef TIERLIB_TESTS_TRACE_RECORDED_TRACE_H_
#define TIERLIB_TESTS_TRACE_RECORDED_TRACE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/random.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorder.h"

namespace tierlib::trace {

inline std::unique_ptr<Recorder> OpenAt(const std::string& path, std::uint64_t last_bytes = 0,
                                        double slow_step_ratio = 0) {
  RecorderOptions options;
  options.path = path;
  options.last_bytes = last_bytes;
  options.slow_step_ratio = slow_step_ratio;
  StatusOr<std::unique_ptr<Recorder>> recorder = Recorder::Open(options);
  EXPECT_TRUE(recorder.ok()) << recorder.status();
  return std::move(recorder).value();
}

inline Trace ReadWithoutProblems(const std::string& path) {
  Trace trace = std::move(ReadTraceFile(path)).value();
  EXPECT_EQ(trace.problem_count, 0u) << (trace.problems.empty() ? "" : trace.problems[0].what);
  EXPECT_TRUE(trace.closed);
  return trace;
}

inline std::multiset<std::uint16_t> KindsOfChunks(const std::string& bytes) {
  std::multiset<std::uint16_t> kinds;
  for (std::size_t at = kHeaderBytes; at + sizeof(ChunkHeader) <= bytes.size(); at += kChunkBytes) {
    ChunkHeader header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    if (header.magic == kChunkMagic) kinds.insert(header.kind);
  }
  return kinds;
}

inline constexpr auto kRecordsKind = static_cast<std::uint16_t>(ChunkKind::kRecords);
inline std::size_t ChunksOfRecords(const std::string& bytes) { return KindsOfChunks(bytes).count(kRecordsKind); }
inline constexpr auto kIndexKind = static_cast<std::uint16_t>(ChunkKind::kIndex);

inline void ExpectCounting(const Trace& trace, std::uint64_t records) {
  ASSERT_EQ(trace.records.size(), records);
  for (std::uint64_t i = 0; i < records; ++i) ASSERT_EQ(trace.records[i].value, i);
}

// Records that hardly compress: 11 bytes each in a block.
inline void RecordNoise(Recorder& recorder, std::uint64_t begin, std::uint64_t end) {
  Random random(begin);
  for (std::uint64_t i = begin; i < end; ++i) recorder.Write(Event::kPack, Tag::kNone, 0, 0, random.NextU64(), i);
}

}  // namespace tierlib::trace

#endif  // TIERLIB_TESTS_TRACE_RECORDED_TRACE_H_
