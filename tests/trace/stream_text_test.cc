#include "trace/stream_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "trace/block_streams.h"
#include "trace/event.h"
#include "trace/reader.h"

namespace tierlib::trace {
namespace {

using Numbers = std::vector<std::uint64_t>;

TEST(StreamText, NamesOneOrSeveral) {
  EXPECT_EQ(StreamsText({}), "");
  EXPECT_EQ(StreamsText({3}), "stream 3");
  EXPECT_EQ(StreamsText({5, 3}), "streams 5, 3");
}

TEST(StreamText, IsReadBack) {
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    Numbers numbers(random.UniformInt(6));
    for (std::uint64_t& number : numbers) number = random.NextU64() >> random.UniformInt(64);
    EXPECT_EQ(ParseStreamsText(StreamsText(numbers)), numbers);
  }
  EXPECT_EQ(ParseStreamsText("stream 18446744073709551615"), Numbers{~std::uint64_t{0}});
}

TEST(StreamText, OtherTextsNameNone) {
  for (const char* text : {"", "stream", "stream ", "stream x", "stream 3 ", "stream 3, 5", "streams 3", "streams 3, ",
                           "streams 3,5", "stream -3", "stream 18446744073709551616", "layers.0.weight", "(other)"}) {
    EXPECT_EQ(ParseStreamsText(text), Numbers()) << text;
  }
}

TEST(BlockStreams, ARecordThatNamesNoneHasTheOneBefore) {
  Trace trace;
  trace.labels = {{1, "stream 4"}, {2, "streams 5, 6"}, {3, "conv1"}};
  BlockStreams streams(trace);
  const auto of = [&streams](Event event, std::uint16_t tier, std::uint32_t label, std::uint64_t offset) {
    const auto span = streams.Of({0, event, Tag::kNone, tier, label, offset, 256});
    return Numbers(span.begin(), span.end());
  };
  EXPECT_EQ(of(Event::kPoolAllocate, 0, 0, 512), Numbers{0}) << "an older trace";
  EXPECT_EQ(of(Event::kPoolAllocate, 0, 1, 0), Numbers{4});
  EXPECT_EQ(of(Event::kPoolAllocate, 1, 0, 0), Numbers{0}) << "of another tier";
  EXPECT_EQ(of(Event::kPoolFree, 0, 2, 0), (Numbers{5, 6}));
  EXPECT_EQ(of(Event::kPoolAllocate, 0, 0, 0), Numbers{5}) << "taken back";
  EXPECT_EQ(of(Event::kPoolFree, 0, 3, 0), Numbers{5}) << "the label of something else";
  EXPECT_EQ(of(Event::kPoolFull, 0, 1, 0), Numbers{4});
  EXPECT_EQ(of(Event::kPoolFull, 0, 0, 0), Numbers{0});
  EXPECT_EQ(of(Event::kPoolFree, 0, 17, 0), Numbers{5}) << "a text that is missing";
}

}  // namespace
}  // namespace tierlib::trace
