#include "trace/column_block.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace tierlib::trace {
namespace {

std::string Encode(const std::vector<Record>& records, std::uint32_t lane = 3, std::uint64_t first = 100) {
  BlockEncoder encoder;
  const auto block = encoder.Encode(records, lane, first, {17, 18});
  return std::string(reinterpret_cast<const char*>(block.data()), block.size());
}

// As a header and its checksum say that the block is.
void Patch(std::string& block, void (*change)(BlockHeader&)) {
  BlockHeader header;
  std::memcpy(&header, block.data(), sizeof header);
  change(header);
  std::memcpy(block.data(), &header, sizeof header);
  header.crc = BlockCrc(header, block.data());
  std::memcpy(block.data(), &header, sizeof header);
}

std::vector<Record> Decode(const std::string& block) {
  BlockHeader header;
  EXPECT_TRUE(ReadBlockHeader(block, &header));
  std::vector<Record> records;
  BlockDecoder decoder;
  const char* wrong = decoder.Decode(block, header, records);
  EXPECT_EQ(wrong, nullptr) << wrong;
  return records;
}

// A number of any size: all sizes are equally likely.
std::uint64_t AnySize(Random& random) { return random.NextU64() >> random.UniformInt(64); }

std::vector<Record> RandomRecords(Random& random, std::size_t count, bool any) {
  std::vector<Record> records;
  for (std::size_t i = 0; i < count; ++i) {
    Record record;
    record.time_ns =
        any ? static_cast<std::int64_t>(random.NextU64())
            : (i == 0 ? 1'000'000 : records[i - 1].time_ns + static_cast<std::int64_t>(AnySize(random) >> 44));
    record.event = static_cast<Event>(any ? 1 + random.UniformInt(255) : 20 + random.UniformInt(4));
    record.tag = static_cast<Tag>(random.UniformInt(any ? 256 : 9));
    record.detail = static_cast<std::uint16_t>(AnySize(random));
    record.label = static_cast<std::uint32_t>(AnySize(random));
    record.subject = any ? random.NextU64() : AnySize(random);
    record.value = any ? random.NextU64() : AnySize(random);
    records.push_back(record);
  }
  return records;
}

TEST(ColumnBlock, GivesEveryRecordBack) {
  Random random(4);
  for (int round = 0; round < 300 / TIERLIB_RANDOM_SCALE + 5; ++round) {
    const std::size_t count = round < 3 ? (round == 0 ? 1 : kRecordsPerChunk) : 1 + random.UniformInt(kRecordsPerChunk);
    const std::vector<Record> records = RandomRecords(random, count, round % 2 == 0);
    const std::vector<Record> read = Decode(Encode(records));
    ASSERT_EQ(read.size(), records.size());
    ASSERT_EQ(std::memcmp(read.data(), records.data(), records.size() * sizeof(Record)), 0);
  }
}

TEST(ColumnBlock, HalfAChunkOfNoiseFitsIntoAChunk) {
  Random random(5);
  EXPECT_LE(Encode(RandomRecords(random, (kRecordsPerChunk + 1) / 2, true)).size(), kPayloadBytes);
}

TEST(ColumnBlock, SummarisesWhatItHolds) {
  std::vector<Record> records;
  records.push_back({500, Event::kTransferEnd, Tag::kSaved, 0, 0, 7, 100});
  records.push_back({300, Event::kTransferEnd, Tag::kSaved, 1, 0, 9, 20});
  records.push_back({900, Event::kTransferEnd, Tag::kSaved, 0, 0, 8, 1});
  records.push_back({600, Event::kPack, Tag::kSaved, 0, 0, 2, 5000});
  const std::string block = Encode(records);
  BlockHeader header;
  ASSERT_TRUE(ReadBlockHeader(block, &header));
  EXPECT_EQ(header.lane, 3u);
  EXPECT_EQ(header.first_record, 100u);
  EXPECT_EQ(header.record_count, 4u);
  EXPECT_EQ(header.begin_ns, 300);
  EXPECT_EQ(header.end_ns, 900);
  EXPECT_EQ(header.subject_least, 2u);
  EXPECT_EQ(header.subject_most, 9u);
  EXPECT_EQ(header.value_least, 1u);
  EXPECT_EQ(header.value_most, 5000u);
  EXPECT_EQ(header.transfer_bytes[0], 101u);
  EXPECT_EQ(header.transfer_bytes[1], 20u);
  EXPECT_EQ(header.clock.ticks, 17u);
  EXPECT_EQ(header.clock.monotonic_ns, 18);
  ASSERT_EQ(header.event_rows, 2u);
  EventCount counts[2];
  std::memcpy(counts, block.data() + sizeof header, sizeof counts);
  EXPECT_EQ(counts[0].event, static_cast<std::uint8_t>(Event::kPack));
  EXPECT_EQ(counts[0].count, 1u);
  EXPECT_EQ(counts[1].event, static_cast<std::uint8_t>(Event::kTransferEnd));
  EXPECT_EQ(counts[1].count, 3u);
}

TEST(ColumnBlock, TakesAtLeastTwoBytesARecord) {
  const std::vector<Record> records(kRecordsPerChunk, Record{1, Event::kPack, Tag::kNone, 0, 0, 0, 0});
  const std::string block = Encode(records);
  EXPECT_EQ(block.size(), kRecordsPerChunk * kBlockBytesPerRecord / 8 * 8 + 8);
  EXPECT_EQ(Decode(block).size(), kRecordsPerChunk);
}

TEST(ColumnBlock, EveryBitIsCovered) {
  Random random(6);
  const std::string whole = Encode(RandomRecords(random, 50, false));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string block = whole;
    block[bit / 8] = static_cast<char>(block[bit / 8] ^ (1 << (bit % 8)));
    BlockHeader header;
    ASSERT_FALSE(ReadBlockHeader(block, &header)) << bit;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    BlockHeader header;
    ASSERT_FALSE(ReadBlockHeader(std::string_view(whole).substr(0, size), &header)) << size;
  }
}

TEST(ColumnBlock, RefusesHeadersThatLie) {
  Random random(7);
  const std::vector<Record> records = RandomRecords(random, 64, false);
  const auto is_read = [&](void (*change)(BlockHeader&)) {
    std::string block = Encode(records);
    Patch(block, change);
    BlockHeader header;
    return ReadBlockHeader(block, &header);
  };
  EXPECT_TRUE(is_read([](BlockHeader&) {}));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.record_count = 0; }));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.record_count = h.block_bytes; }));  // more than it may stand for
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.event_rows = 0x20000000; }));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.compressed_bytes = h.block_bytes; }));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.column_bytes = 0xFFFFFFFF; }));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.begin_ns = std::numeric_limits<std::int64_t>::max(); }));
  EXPECT_FALSE(is_read([](BlockHeader& h) { h.first_record = ~std::uint64_t{0}; }));
}

TEST(ColumnBlock, SaysWhereColumnsAreNotWhatTheHeaderSays) {
  Random random(8);
  const std::vector<Record> records = RandomRecords(random, 64, false);
  const auto wrong = [&](void (*change)(BlockHeader&)) {
    std::string block = Encode(records);
    Patch(block, change);
    BlockHeader header;
    EXPECT_TRUE(ReadBlockHeader(block, &header));
    std::vector<Record> read(1);
    const char* what = BlockDecoder().Decode(block, header, read);
    EXPECT_EQ(read.size(), what == nullptr ? 65u : 1u);
    return std::string(what == nullptr ? "" : what);
  };
  EXPECT_EQ(wrong([](BlockHeader&) {}), "");
  EXPECT_NE(wrong([](BlockHeader& h) { --h.record_count; }), "");
  EXPECT_NE(wrong([](BlockHeader& h) { ++h.record_count; }), "");
  EXPECT_NE(wrong([](BlockHeader& h) { --h.column_bytes; }), "");
  EXPECT_NE(wrong([](BlockHeader& h) { --h.compressed_bytes; }), "");
  EXPECT_NE(wrong([](BlockHeader& h) { ++h.begin_ns; }), "");  // and with it every time: the last is beyond end_ns
  EXPECT_NE(wrong([](BlockHeader& h) { --h.end_ns; }), "");
}

}  // namespace
}  // namespace tierlib::trace
