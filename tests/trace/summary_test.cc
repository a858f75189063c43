// The figures of a summary on traces written by hand, where each can be counted by eye.
#include "trace/summary.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/random.h"

namespace tierlib::trace {
namespace {

constexpr std::uint16_t kDevice = static_cast<std::uint16_t>(TierCode::kDevice);
constexpr std::uint16_t kPinned = static_cast<std::uint16_t>(TierCode::kPinned);
constexpr std::uint16_t kOut = static_cast<std::uint16_t>(DirectionCode::kOut);
constexpr std::uint16_t kIn = static_cast<std::uint16_t>(DirectionCode::kIn);
constexpr std::uint16_t kLate = static_cast<std::uint16_t>(StallCause::kLateCopyIn);
constexpr std::uint16_t kFull = static_cast<std::uint16_t>(StallCause::kAllocation);

Summary Of(std::vector<Record> records) {
  Trace trace;
  trace.closed = true;
  trace.device_capacity = 1000;
  trace.pinned_capacity = 2000;
  trace.labels = {{1, "block.0"}, {2, "block.1"}};
  trace.records = std::move(records);
  return Summarize(trace);
}

TEST(Summary, OfNothingIsNothing) {
  const Summary summary = Of({});
  EXPECT_EQ(summary.records, 0u);
  EXPECT_EQ(summary.duration_ns, 0u);
  EXPECT_EQ(summary.steps.count, 0u);
  EXPECT_TRUE(summary.tiers.empty());
  EXPECT_EQ(summary.transfers[kOut].BytesPerSecond(), 0.0);
}

TEST(Summary, MeasuresSteps) {
  std::vector<Record> records;
  std::int64_t time = 1000;
  const std::uint64_t durations[] = {10, 30, 20, 90, 20};
  for (std::uint64_t step = 0; step < 5; ++step) {
    records.push_back({time, Event::kStepBegin, Tag::kNone, 0, 0, step, 0});
    // The slowest step waits 50 for a late copy and 7 for memory; the others 5 for a late copy.
    records.push_back({time + 5, Event::kStallEnd, Tag::kReload, kLate, 1, 77, step == 3 ? 50u : 5u});
    if (step == 3) records.push_back({time + 6, Event::kStallEnd, Tag::kReload, kFull, 1, 77, 7});
    time += static_cast<std::int64_t>(durations[step]);
    records.push_back({time, Event::kStepEnd, Tag::kNone, 0, 0, step, 0});
    time += 100;  // evaluation between steps
  }
  records.push_back({time, Event::kStepBegin, Tag::kNone, 0, 0, 5, 0});
  const Summary summary = Of(records);
  EXPECT_EQ(summary.steps.count, 5u);
  EXPECT_EQ(summary.steps.unfinished, 1u);
  EXPECT_EQ(summary.steps.median_ns, 20u);
  EXPECT_EQ(summary.steps.slowest_step, 3u);
  EXPECT_EQ(summary.steps.slowest_ns, 90u);
  ASSERT_EQ(summary.steps.slowest_excess.size(), 2u);
  EXPECT_EQ(summary.steps.slowest_excess[0].cause, StallCause::kLateCopyIn);
  EXPECT_EQ(summary.steps.slowest_excess[0].ns, 45u);
  EXPECT_EQ(summary.steps.slowest_excess[1].cause, StallCause::kAllocation);
  EXPECT_EQ(summary.steps.slowest_excess[1].ns, 7u);
  EXPECT_EQ(summary.duration_ns, 170u + 5 * 100);
}

TEST(Summary, MedianOfAnEvenNumberLiesBetween) {
  const Summary summary =
      Of({{0, Event::kStepBegin}, {10, Event::kStepEnd}, {20, Event::kStepBegin}, {50, Event::kStepEnd}});
  EXPECT_EQ(summary.steps.median_ns, 20u);
}

TEST(Summary, BooksDecisionsByActionAndReason) {
  std::vector<Record> records;
  const auto decide = [&](DecisionAction action, DecisionReason reason, std::uint64_t bytes) {
    records.push_back({0, Event::kPack, Tag::kSaved, 0, 1, 5, bytes});
    records.push_back({0, Event::kDecision, Tag::kSaved, DecisionDetail(action, reason), 1, 5, bytes});
  };
  decide(DecisionAction::kMove, DecisionReason::kPolicy, 100);
  decide(DecisionAction::kMove, DecisionReason::kPolicy, 11);
  decide(DecisionAction::kMove, DecisionReason::kMemoryShort, 1000);
  decide(DecisionAction::kReference, DecisionReason::kSameStorage, 20);
  decide(DecisionAction::kReplay, DecisionReason::kLineage, 3);
  decide(DecisionAction::kFreesNothing, DecisionReason::kPersistent, 7);
  decide(DecisionAction::kKeep, DecisionReason::kTooSmall, 2);
  decide(DecisionAction::kRecompute, DecisionReason::kClaimed, 4);
  decide(DecisionAction::kRecompute, DecisionReason::kCheaper, 9);
  records.push_back({0, Event::kReplay, Tag::kReload, 0, 1, 5, 3});
  records.push_back({0, Event::kReplay, Tag::kReload, 1, 1, 5, 40});
  records.push_back({0, Event::kReplay, Tag::kReload, 1, 1, 5, 2});
  records.push_back({0, Event::kUnpack, Tag::kSaved, 0, 1, 5, 3});
  records.push_back({0, Event::kDecision, Tag::kSaved, 0xFFFF, 1, 5, 1 << 20});  // of a later version: not booked
  const Summary summary = Of(records);
  EXPECT_EQ(summary.packs, 9u);
  EXPECT_EQ(summary.unpacks, 1u);
  EXPECT_EQ(summary.naive, 1156u);
  EXPECT_EQ(summary.moved, 1111u);
  EXPECT_EQ(summary.avoided_identity, 20u);
  EXPECT_EQ(summary.avoided_lineage, 3u);
  EXPECT_EQ(summary.avoided_recompute, 13u);
  EXPECT_EQ(summary.recomputed, 42u);
  EXPECT_EQ(summary.recomputes, 2u);
  EXPECT_EQ(summary.frees_nothing, 7u);
  EXPECT_EQ(summary.kept, 2u);
  EXPECT_EQ(summary.replayed, 3u);
  ASSERT_EQ(summary.decisions.size(), 8u);
  EXPECT_EQ(summary.decisions[1].action, DecisionAction::kMove);
  EXPECT_EQ(summary.decisions[1].reason, DecisionReason::kPolicy);
  EXPECT_EQ(summary.decisions[1].count, 2u);
  EXPECT_EQ(summary.decisions[1].bytes, 111u);
}

TEST(Summary, TransfersAreBusyOnceHoweverManyOverlap) {
  std::vector<Record> records;
  const auto transfer = [&](std::uint64_t number, std::uint16_t direction, std::uint64_t bytes, std::int64_t begin,
                            std::int64_t end) {
    records.push_back({begin - 1, Event::kTransferAsk, Tag::kSaved, direction, 0, number, bytes});
    records.push_back({begin, Event::kTransferBegin, Tag::kSaved, direction, 0, number, bytes});
    records.push_back({end, Event::kTransferEnd, Tag::kSaved, direction, 0, number, bytes});
  };
  transfer(1, kOut, 1000, 100, 200);
  transfer(2, kOut, 1000, 150, 250);  // overlaps
  transfer(3, kOut, 500, 160, 170);   // inside
  transfer(4, kOut, 500, 1000, 1050);
  transfer(5, kIn, 4000, 100, 140);
  records.push_back({9000, Event::kTransferAsk, Tag::kSaved, kIn, 0, 6, 600});
  records.push_back({9001, Event::kTransferBegin, Tag::kSaved, kIn, 0, 6, 600});
  const Summary summary = Of(records);
  const TransferSummary& out = summary.transfers[kOut];
  EXPECT_EQ(out.count, 4u);
  EXPECT_EQ(out.bytes, 3000u);
  EXPECT_EQ(out.unfinished, 0u);
  EXPECT_EQ(out.busy_ns, 200u);
  EXPECT_DOUBLE_EQ(out.BytesPerSecond(), 3000 / 200e-9);
  const TransferSummary& in = summary.transfers[kIn];
  EXPECT_EQ(in.count, 2u);
  EXPECT_EQ(in.bytes, 4600u);
  EXPECT_EQ(in.unfinished, 1u);
  EXPECT_EQ(in.finished_bytes, 4000u);
  EXPECT_DOUBLE_EQ(in.BytesPerSecond(), 4000 / 40e-9);
}

// A copy that was refused ends without bytes, and has not begun: it counts, and its bytes do not.
TEST(Summary, BytesOfACopyThatFailedCountNowhere) {
  const Summary summary = Of({{0, Event::kStepBegin, Tag::kNone, 0, 0, 1, 0},
                              {1, Event::kTransferAsk, Tag::kSaved, kOut, 0, 1, 500},
                              {2, Event::kTransferEnd, Tag::kSaved, kOut, 0, 1, 0},
                              {3, Event::kTransferAsk, Tag::kSaved, kOut, 0, 2, 70},
                              {4, Event::kTransferBegin, Tag::kSaved, kOut, 0, 2, 70},
                              {9, Event::kTransferEnd, Tag::kSaved, kOut, 0, 2, 70},
                              {10, Event::kStepEnd, Tag::kNone, 0, 0, 1, 0},
                              {11, Event::kTransferAsk, Tag::kSaved, kIn, 0, 3, 30},  // between steps
                              {12, Event::kStepBegin, Tag::kNone, 0, 0, 2, 0},
                              {13, Event::kTransferEnd, Tag::kSaved, kIn, 0, 3, 0},
                              {14, Event::kStepEnd, Tag::kNone, 0, 0, 2, 0}});
  const TransferSummary& out = summary.transfers[kOut];
  EXPECT_EQ(out.count, 2u);
  EXPECT_EQ(out.failed, 1u);
  EXPECT_EQ(out.unfinished, 0u);
  EXPECT_EQ(out.bytes, 70u);
  EXPECT_EQ(out.finished_bytes, 70u);
  EXPECT_EQ(summary.transfers[kIn].failed, 1u);
  EXPECT_EQ(summary.transfers[kIn].bytes, 0u);
  ASSERT_EQ(summary.steps.each.size(), 2u);
  EXPECT_EQ(summary.steps.each[0].copied_bytes[kOut], 70u);
  EXPECT_EQ(summary.steps.each[1].copied_bytes[kIn], 0u);
}

TEST(Summary, SortsStallsByStorageAndCause) {
  const Summary summary = Of({
      {0, Event::kStorageRegister, Tag::kClient, 0, 2, 8, 64},
      {1, Event::kStallEnd, Tag::kReload, kLate, 1, 7, 10},
      {2, Event::kStallEnd, Tag::kReload, kLate, 1, 7, 15},
      {3, Event::kStallEnd, Tag::kReload, kFull, 1, 7, 20},
      {4, Event::kStallEnd, Tag::kReload, kLate, 0, 8, 100},  // named by its storage
      {5, Event::kStallEnd, Tag::kReload, kLate, 0, 9, 1},    // by nothing
  });
  EXPECT_EQ(summary.stall_count, 5u);
  EXPECT_EQ(summary.stall_ns, 146u);
  ASSERT_EQ(summary.stalls.size(), 4u);
  EXPECT_EQ(summary.stalls[0].label, "block.1");
  EXPECT_EQ(summary.stalls[0].ns, 100u);
  EXPECT_EQ(summary.stalls[1].label, "block.0");
  EXPECT_EQ(summary.stalls[1].cause, StallCause::kLateCopyIn);
  EXPECT_EQ(summary.stalls[1].ns, 25u);
  EXPECT_EQ(summary.stalls[1].count, 2u);
  EXPECT_EQ(summary.stalls[2].cause, StallCause::kAllocation);
  EXPECT_EQ(summary.stalls[3].label, "");
}

TEST(Summary, TellsHiddenFromExposedTimeAndComputeFromUnknown) {
  const auto transfer = [](std::vector<Record>& records, std::uint64_t number, std::uint16_t direction,
                           std::int64_t begin, std::int64_t end) {
    records.push_back({begin, Event::kTransferBegin, Tag::kSaved, direction, 0, number, 8});
    records.push_back({end, Event::kTransferEnd, Tag::kSaved, direction, 0, number, 8});
  };
  std::vector<Record> records = {{0, Event::kStepBegin}};
  transfer(records, 1, kOut, 100, 200);
  transfer(records, 2, kIn, 150, 300);
  transfer(records, 3, 2, 400, 450);  // within the device: crosses no link
  records.push_back({0, Event::kOpBegin, Tag::kNone, 0, 1, 1, 0});
  records.push_back({250, Event::kOpEnd, Tag::kNone, 0, 1, 1, 0});
  records.push_back({310, Event::kStallEnd, Tag::kReload, kLate, 1, 7, 60});  // 250..310
  records.push_back({330, Event::kStallEnd, Tag::kReload, kFull, 1, 7, 20});  // 310..330: not for a copy
  records.push_back({340, Event::kOpBegin, Tag::kNone, 1, 1, 2, 0});
  records.push_back({345, Event::kOpEnd, Tag::kNone, 1, 1, 9, 0});  // of an op that never began
  records.push_back({500, Event::kOpEnd, Tag::kNone, 1, 1, 2, 0});
  const TimeSummary time = Of(records).time;
  EXPECT_EQ(time.transfer_ns, 200u);
  EXPECT_EQ(time.exposed_ns, 60u);
  EXPECT_EQ(time.hidden_ns, 150u);
  EXPECT_EQ(time.compute_ns, 250u + 160u);
  EXPECT_EQ(time.unknown_ns, 10u);
}

TEST(Summary, OfAStallLongerThanTheClockIsCutAtItsBegin) {
  const Summary summary = Of({{0, Event::kStepBegin}, {5, Event::kStallEnd, Tag::kReload, kLate, 1, 7, ~0ull}});
  EXPECT_EQ(summary.time.exposed_ns, (std::uint64_t{1} << 63) + 5);
}

TEST(Summary, FindsThePeakOfEachTierAndWhatWasThere) {
  const Summary summary = Of({
      {100, Event::kPoolAllocate, Tag::kParameter, kDevice, 0, 0, 400},
      {110, Event::kPoolAllocate, Tag::kActivation, kDevice, 0, 400, 300},
      {120, Event::kPoolAllocate, Tag::kSaved, kPinned, 0, 0, 50},
      {130, Event::kPoolFree, Tag::kActivation, kDevice, 0, 400, 300},
      {140, Event::kPoolAllocate, Tag::kReload, kDevice, 0, 400, 100},
      {150, Event::kPoolAllocate, Tag::kGradient, kDevice, 0, 500, 220},  // 720: the peak
      {160, Event::kPoolFull, Tag::kActivation, kDevice, 0, 280, 300},
      {170, Event::kPoolFree, Tag::kGradient, kDevice, 0, 500, 220},
  });
  ASSERT_EQ(summary.tiers.size(), 2u);
  const TierSummary& device = summary.tiers[0];
  EXPECT_EQ(device.tier, TierCode::kDevice);
  EXPECT_EQ(device.capacity, 1000u);
  EXPECT_EQ(device.peak_bytes, 720u);
  EXPECT_EQ(device.peak_time_ns, 50);
  EXPECT_EQ(device.live_at_end, 500u);
  EXPECT_EQ(device.times_full, 1u);
  EXPECT_TRUE(device.consistent);
  ASSERT_EQ(device.at_peak.size(), 3u);
  EXPECT_EQ(device.at_peak[0].tag, Tag::kParameter);
  EXPECT_EQ(device.at_peak[1].tag, Tag::kGradient);
  EXPECT_EQ(device.at_peak[1].bytes, 220u);
  EXPECT_EQ(device.at_peak[2].tag, Tag::kReload);
  std::uint64_t sum = 0;
  for (const TagBytes& part : device.at_peak) sum += part.bytes;
  EXPECT_EQ(sum, device.peak_bytes);
  EXPECT_EQ(summary.tiers[1].peak_bytes, 50u);
  EXPECT_EQ(summary.tiers[1].capacity, 2000u);
}

TEST(Summary, SaysWhereFreesDoNotMatch) {
  const Summary summary = Of({
      {100, Event::kPoolAllocate, Tag::kParameter, kDevice, 0, 0, 400},
      {110, Event::kPoolFree, Tag::kActivation, kDevice, 0, 400, 300},
  });
  ASSERT_EQ(summary.tiers.size(), 1u);
  EXPECT_FALSE(summary.tiers[0].consistent);
  EXPECT_EQ(summary.tiers[0].peak_bytes, 400u);
}

// As with a flight recorder, whose records begin amid a run.
TEST(Summary, WhatWasThereBeforeTheRecordsIsNotAtThePeak) {
  const Summary summary = Of({
      {100, Event::kPoolAllocate, Tag::kParameter, kDevice, 0, 0, 400},
      {110, Event::kPoolFree, Tag::kActivation, kDevice, 0, 400, 300},
      {120, Event::kPoolFree, Tag::kNone, kDevice, 0, 700, 50},
      {130, Event::kPoolAllocate, Tag::kGradient, kDevice, 0, 400, 500},
  });
  ASSERT_EQ(summary.tiers.size(), 1u);
  EXPECT_FALSE(summary.tiers[0].consistent);
  EXPECT_EQ(summary.tiers[0].peak_bytes, 550u);
  ASSERT_EQ(summary.tiers[0].at_peak.size(), 2u);
  EXPECT_EQ(summary.tiers[0].at_peak[0].bytes, 500u);
  EXPECT_EQ(summary.tiers[0].at_peak[1].bytes, 400u);
  EXPECT_EQ(summary.tiers[0].untagged_at_peak, 0u);
}

// Fields of records may hold anything; the sanitizers watch the arithmetic.
TEST(Summary, SurvivesAnyRecords) {
  constexpr std::uint64_t kSeed = 77;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (int round = 0; round < 2'000 / TIERLIB_RANDOM_SCALE; ++round) {
    std::vector<Record> records;
    for (int i = 0; i < 60; ++i) {
      Record record;
      const std::uint64_t kind = random.UniformInt(4);
      record.time_ns = kind == 0   ? std::numeric_limits<std::int64_t>::min()
                       : kind == 1 ? std::numeric_limits<std::int64_t>::max()
                                   : static_cast<std::int64_t>(random.NextU64());
      record.event = static_cast<Event>(random.UniformInt(70));
      record.tag = static_cast<Tag>(random.UniformInt(256));
      record.detail = static_cast<std::uint16_t>(random.UniformInt(2) == 0 ? random.UniformInt(6) : random.NextU32());
      record.label = static_cast<std::uint32_t>(random.UniformInt(4));
      record.subject = random.UniformInt(8);
      record.value = random.UniformInt(2) == 0 ? random.NextU64() : random.UniformInt(100);
      records.push_back(record);
    }
    const Summary summary = Of(records);
    ASSERT_EQ(summary.records, 60u);
  }
}

}  // namespace
}  // namespace tierlib::trace
