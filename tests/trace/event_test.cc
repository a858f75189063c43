#include "trace/event.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <string>

#include "allocator/device_backend.h"
#include "tierlib/tier.h"

namespace tierlib::trace {
namespace {

TEST(Event, CodesAndNamesAreUnique) {
  std::set<int> codes;
  std::set<std::string> names;
  int rows = 0;
#define TIERLIB_EVENT(name, code, text, subject, value, detail) \
  ++rows;                                                       \
  codes.insert(code);                                           \
  names.insert(EventName(Event::k##name));                      \
  EXPECT_STREQ(EventName(Event::k##name), text);                \
  EXPECT_TRUE(IsKnownEvent(code));
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
  EXPECT_EQ(codes.size(), static_cast<std::size_t>(rows));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(rows));
  EXPECT_EQ(codes.count(0), 0u);  // zero means "not written"
  EXPECT_LE(*codes.rbegin(), 255);
}

// Codes are in files: a change here is a change of the format.
TEST(Event, CodesKeepTheirMeaning) {
  EXPECT_EQ(static_cast<int>(Event::kStepBegin), 1);
  EXPECT_EQ(static_cast<int>(Event::kPoolAllocate), 22);
  EXPECT_EQ(static_cast<int>(Event::kDecision), 31);
  EXPECT_EQ(static_cast<int>(Event::kTransferEnd), 42);
  EXPECT_EQ(static_cast<int>(Event::kStallEnd), 51);
  EXPECT_EQ(static_cast<int>(DecisionAction::kFreesNothing), 4);
  EXPECT_EQ(static_cast<int>(DecisionAction::kRecompute), 5);
  EXPECT_EQ(static_cast<int>(DecisionReason::kMemoryShort), 7);
  EXPECT_EQ(static_cast<int>(DecisionReason::kCheaper), 8);
  EXPECT_EQ(static_cast<int>(DecisionReason::kClaimed), 9);
  EXPECT_EQ(static_cast<int>(Event::kRecomputes), 15);
  EXPECT_EQ(static_cast<int>(DecisionReason::kPeak), 10);
  EXPECT_EQ(static_cast<int>(StallCause::kHostPool), 4);
  EXPECT_EQ(static_cast<int>(StallCause::kProducer), 5);
  EXPECT_EQ(static_cast<int>(StallCause::kChecksum), 8);
  EXPECT_EQ(static_cast<int>(DecisionReason::kScattered), 11);
  EXPECT_EQ(static_cast<int>(Event::kFreedNothing), 16);
  EXPECT_EQ(static_cast<int>(Event::kReload), 36);
  EXPECT_EQ(static_cast<int>(Event::kReconsider), 39);
  EXPECT_EQ(static_cast<int>(Tag::kClient), 8);
}

TEST(Event, UnknownCodesHaveNoName) {
  EXPECT_FALSE(IsKnownEvent(0));
  EXPECT_FALSE(IsKnownEvent(255));
  EXPECT_STREQ(EventName(static_cast<Event>(255)), "?");
  EXPECT_STREQ(TagName(static_cast<Tag>(200)), "?");
}

template <typename Enum>
void ExpectNamed(std::size_t count, const char* (*name)(Enum)) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.insert(name(static_cast<Enum>(i)));
  EXPECT_EQ(names.size(), count);
  EXPECT_EQ(names.count("?"), 0u);
  EXPECT_STREQ(name(static_cast<Enum>(count)), "?");
}

TEST(Event, CountsMatchTheNames) {
  ExpectNamed(kTagCount, TagName);
  ExpectNamed(kStallCauseCount, StallCauseName);
  ExpectNamed(kDecisionActionCount, DecisionActionName);
  ExpectNamed(kDecisionReasonCount, DecisionReasonName);
  ExpectNamed(kTierCodeCount, TierCodeName);
}

// This layer may not include the allocator, whose enums the details of records are.
TEST(Event, TierAndDirectionCodesAreTheAllocators) {
  EXPECT_EQ(static_cast<int>(TierCode::kDevice), static_cast<int>(Tier::kDevice));
  EXPECT_EQ(static_cast<int>(TierCode::kPinned), static_cast<int>(Tier::kPinned));
  EXPECT_EQ(static_cast<int>(TierCode::kPageable), static_cast<int>(Tier::kPageable));
  EXPECT_EQ(static_cast<int>(TierCode::kFile), static_cast<int>(Tier::kFile));
  EXPECT_EQ(kTierCodeCount, kTierCount);
  for (const Tier tier : {Tier::kDevice, Tier::kPinned, Tier::kPageable, Tier::kFile}) {
    EXPECT_STREQ(TierCodeName(static_cast<TierCode>(tier)), TierName(tier));
  }
  EXPECT_EQ(static_cast<int>(DirectionCode::kOut), static_cast<int>(CopyDirection::kDeviceToHost));
  EXPECT_EQ(static_cast<int>(DirectionCode::kIn), static_cast<int>(CopyDirection::kHostToDevice));
  EXPECT_EQ(static_cast<int>(DirectionCode::kWithin), static_cast<int>(CopyDirection::kDeviceToDevice));
}

TEST(Event, DecisionDetailHoldsActionAndReason) {
  const std::uint16_t detail = DecisionDetail(DecisionAction::kReplay, DecisionReason::kLineage);
  EXPECT_EQ(detail / 256, static_cast<int>(DecisionAction::kReplay));
  EXPECT_EQ(detail % 256, static_cast<int>(DecisionReason::kLineage));
}

}  // namespace
}  // namespace tierlib::trace
