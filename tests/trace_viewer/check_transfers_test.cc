// tierlib-trace check: which copies may be under way at once, and which may not. Traces that are made here, of copies
// alone.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "trace/check/conservation.h"
#include "trace/trace_cut.h"
#include "trace/trace_writer.h"

namespace tierlib::trace_viewer {
namespace {

using trace::CopyLimits;
using trace::DirectionCode;
using trace::Event;
using trace::Rule;
using trace::Tag;
using trace::Trace;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint64_t kStorage = 7;

class Copies {
 public:
  explicit Copies(std::optional<CopyLimits> limits) {
    trace_.device = "emulated:0";
    trace_.closed = true;
    trace_.copy_limits = limits;
  }

  // One that is asked for at the begin of the trace.
  Copies& Add(DirectionCode direction, std::uint64_t bytes, std::int64_t begin_ms, std::int64_t end_ms) {
    return Ask(direction, bytes).Time(begin_ms, end_ms);
  }
  Copies& Ask(DirectionCode direction, std::uint64_t bytes) {
    direction_ = static_cast<std::uint16_t>(direction);
    bytes_ = bytes;
    ++number_;
    Write(0, Event::kTransferStorage, kStorage);
    Write(0, Event::kTransferAsk, bytes);
    return *this;
  }
  Copies& Time(std::int64_t begin_ms, std::int64_t end_ms) {
    Write(begin_ms * kMs, Event::kTransferBegin, bytes_);
    Write(end_ms * kMs, Event::kTransferEnd, bytes_);
    return *this;
  }
  Copies& Fail(std::int64_t time_ms) {
    Write(time_ms * kMs, Event::kTransferEnd, 0);
    return *this;
  }

  Trace& trace() { return trace_; }
  // How often the rule is broken.
  std::uint64_t Found(Rule rule) const {
    return trace::CheckConservation(trace_).by_rule[static_cast<std::size_t>(rule)];
  }

 private:
  void Write(std::int64_t time_ns, Event event, std::uint64_t value) {
    trace_.records.push_back({time_ns, event, Tag::kSaved, direction_, 0, number_, value});
  }

  Trace trace_;
  std::uint16_t direction_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t bytes_ = 0;
};

constexpr DirectionCode kOut = DirectionCode::kOut;
constexpr DirectionCode kIn = DirectionCode::kIn;
constexpr CopyLimits kWhole = {0, 0};  // nothing in pieces, nothing gathered

TEST(CheckTransfers, WhatComesBackHasLeftBefore) {
  EXPECT_EQ(Copies(kWhole).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 5, 9).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(kWhole).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 4, 9).Found(Rule::kTransferSource), 1u);
  EXPECT_EQ(Copies(kWhole).Add(kOut, 1000, 6, 9).Add(kIn, 1000, 1, 5).Found(Rule::kTransferSource), 1u);
  EXPECT_EQ(Copies(kWhole).Add(kIn, 1000, 1, 5).Found(Rule::kTransferSource), 1u);
  EXPECT_EQ(Copies(kWhole).Add(kOut, 999, 1, 5).Add(kIn, 1000, 6, 9).Found(Rule::kTransferSource), 1u);
}

// A value that is asked for while it leaves comes back piece by piece behind its own copy out.
TEST(CheckTransfers, PiecesComeBackBehindTheirOwnCopyOut) {
  constexpr CopyLimits kPieces = {100, 0};
  EXPECT_EQ(Copies(kPieces).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 2, 6).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(kPieces).Add(kOut, 1000, 2, 5).Add(kIn, 1000, 1, 6).Found(Rule::kTransferSource), 1u);
  EXPECT_EQ(Copies(kPieces).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 2, 4).Found(Rule::kTransferSource), 1u);
  // What is no larger than a piece is made as one.
  EXPECT_EQ(Copies(kPieces).Add(kOut, 100, 1, 5).Add(kIn, 100, 2, 6).Found(Rule::kTransferSource), 1u);
  // The first piece of several small copies, which are each made as one.
  Copies small(kPieces);
  small.Add(kOut, 60, 1, 2).Add(kOut, 60, 2, 4).Add(kIn, 120, 3, 5);
  EXPECT_EQ(small.Found(Rule::kTransferSource), 1u);
}

TEST(CheckTransfers, OtherBytesOfAStorageMayLeaveWhileSomeComeBack) {
  Copies parts(kWhole);
  parts.Add(kOut, 500, 1, 2).Add(kOut, 500, 5, 9);
  EXPECT_EQ(Copies(parts).Add(kIn, 500, 6, 8).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(parts).Add(kIn, 1000, 6, 10).Found(Rule::kTransferSource), 1u);
  EXPECT_EQ(Copies(parts).Add(kIn, 1000, 9, 10).Add(kIn, 500, 11, 12).Found(Rule::kTransferSource), 0u);
}

// Nobody knows when their bytes arrived, in how many pieces, or whether they did before what the trace has.
TEST(CheckTransfers, WhatIsNotKnownIsNoFinding) {
  EXPECT_EQ(Copies(kWhole).Ask(kOut, 1000).Add(kIn, 1000, 1, 2).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(kWhole).Ask(kOut, 1000).Fail(3).Add(kIn, 1000, 1, 2).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(std::nullopt).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 2, 6).Found(Rule::kTransferSource), 0u);
  EXPECT_EQ(Copies(std::nullopt).Add(kOut, 1000, 1, 5).Add(kIn, 1000, 2, 4).Found(Rule::kTransferSource), 1u);
  Copies part(kWhole);
  part.Add(kOut, 1000, 1, 2).Add(kIn, 1000, 3, 4);
  part.trace().records.erase(part.trace().records.begin(), part.trace().records.begin() + 4);  // cut off
  EXPECT_EQ(part.Found(Rule::kTransferSource), 0u);
  Copies copy(kWhole);
  copy.Add(kIn, 1000, 1, 5);
  copy.trace().is_copy = true;  // and may lack the record of a copy out
  EXPECT_EQ(copy.Found(Rule::kTransferSource), 0u);
}

TEST(CheckTransfers, OnlyCopiesOutThatAreGatheredAreAsOne) {
  constexpr CopyLimits kGathers = {0, 4096};
  const auto two = [](std::optional<CopyLimits> limits, DirectionCode direction, std::uint64_t bytes) {
    return Copies(limits).Add(direction, bytes, 1, 2).Add(direction, bytes, 1, 2).Found(Rule::kTransferOverlap);
  };
  EXPECT_EQ(two(kGathers, kOut, 1024), 0u);
  EXPECT_EQ(two(std::nullopt, kOut, 1024), 0u);
  EXPECT_EQ(two(kGathers, kOut, 2049), 1u) << "more than what is gathered";
  EXPECT_EQ(two(kWhole, kOut, 1024), 1u) << "nothing is gathered";
  EXPECT_EQ(two(kGathers, kIn, 1024), 1u);
  EXPECT_EQ(two(std::nullopt, kIn, 1024), 1u);
  Copies between(kGathers);  // a copy out ends what is gathered
  between.Add(kOut, 512, 1, 2).Add(kOut, 512, 3, 4).Add(kOut, 512, 1, 2);
  EXPECT_EQ(between.Found(Rule::kTransferOverlap), 1u);
  Copies many(kGathers);
  for (int i = 0; i < 8; ++i) many.Add(kOut, 512, 1, 2);
  EXPECT_EQ(many.Found(Rule::kTransferOverlap), 0u);
  EXPECT_EQ(many.Add(kOut, 512, 1, 2).Found(Rule::kTransferOverlap), 1u);
}

TEST(CheckTransfers, LimitsStayWithTheTrace) {
  Copies copies(CopyLimits{1000, 4096});
  copies.Add(kOut, 10, 1, 2);
  for (const Trace& trace :
       {trace::ReadTrace(trace::EncodeTrace(copies.trace())).value(), trace::CutTrace(copies.trace(), 0, 10 * kMs)}) {
    ASSERT_TRUE(trace.copy_limits.has_value());
    EXPECT_EQ(trace.copy_limits->piece_bytes, 1000u);
    EXPECT_EQ(trace.copy_limits->batch_bytes, 4096u);
  }
  std::string bytes = trace::EncodeTrace(copies.trace());
  bytes[544] ^= 1;
  const Trace damaged = trace::ReadTrace(bytes).value();
  EXPECT_FALSE(damaged.copy_limits.has_value());
  EXPECT_EQ(damaged.problem_count, 1u);
  copies.trace().copy_limits.reset();
  EXPECT_FALSE(trace::ReadTrace(trace::EncodeTrace(copies.trace())).value().copy_limits.has_value());
}

}  // namespace
}  // namespace tierlib::trace_viewer
