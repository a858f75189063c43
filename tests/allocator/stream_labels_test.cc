// A pool's trace names the streams that blocks were asked for and freed on.
#include "allocator/stream_labels.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "allocator/pool_under_test.h"
#include "io/temporary_folder.h"
#include "trace/reader.h"
#include "trace/recorder.h"

namespace tierlib {
namespace {

using trace::Event;

// "22 stream 1" for each record of a pool.
std::vector<std::string> PoolRecords(const std::string& path) {
  std::vector<std::string> texts;
  const trace::Trace trace = trace::ReadTrace(ReadWhole(path)).value();
  for (const trace::Record& record : trace.records) {
    const bool is_pool =
        record.event == Event::kPoolAllocate || record.event == Event::kPoolFree || record.event == Event::kPoolFull;
    if (is_pool) texts.push_back(std::string(trace::EventName(record.event)) + ": " + trace.LabelText(record.label));
  }
  return texts;
}

TEST(StreamLabels, APoolsRecordsNameTheirStreams) {
  TemporaryFolder folder;
  {
    const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
    PoolUnderTest test = MakePoolUnderTest(MiB(1), ShapeOnly(), 3, recorder.get());
    void* const a = test.pool->Allocate(1000, test.streams[1]).value();
    void* const b = test.pool->Allocate(1000, test.streams[2]).value();
    EXPECT_FALSE(test.pool->Allocate(MiB(2), test.streams[2]).ok());
    EXPECT_FALSE(test.pool->Allocate(MiB(1), test.streams[1]).ok());
    const std::uint64_t ticket = test.pool->FreeWithBytes(a, {test.streams[2]});
    ASSERT_TRUE(test.pool->TakeBack(a, ticket, trace::Tag::kNone));
    test.pool->Free(a, {test.streams[0], test.streams[2]});
    test.pool->Free(b, {});
  }
  EXPECT_EQ(PoolRecords(folder / "run.tlt"),
            (std::vector<std::string>{"pool allocate: stream 1", "pool free: stream 1",  // of the test's own block
                                      "pool allocate: stream 2", "pool allocate: stream 3", "pool full: stream 3",
                                      "pool full: stream 2", "pool free: stream 3",
                                      "pool allocate: ", "pool free: streams 1, 3", "pool free: "}));
}

TEST(StreamLabels, AStreamThatIsGoneIsNotNamedByItsSuccessor) {
  TemporaryFolder folder;
  const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
  const auto device = MakeDevice({.capacity = MiB(1), .emulated = ShapeOnly()}).value();
  StreamLabels labels(*device, recorder.get());
  const Stream first = device->CreateStream("first").value();
  const Stream second = device->CreateStream("second").value();
  const std::uint32_t label = labels.Of(first);
  EXPECT_NE(label, 0u);
  EXPECT_EQ(labels.Of(first), label);
  EXPECT_NE(labels.Of(second), label);
  EXPECT_EQ(labels.Of(absl::Span<const Stream>()), 0u);
  const Stream both[] = {first, second};
  const std::uint32_t two = labels.Of(both);
  EXPECT_NE(two, label);
  ASSERT_TRUE(device->DestroyStream(first).ok());
  EXPECT_EQ(labels.Of(first), 0u);
  EXPECT_EQ(labels.Of(both), labels.Of(second)) << "what is left of them";
  EXPECT_EQ(StreamLabels(*device, nullptr).Of(second), 0u) << "without a trace";
}

}  // namespace
}  // namespace tierlib
