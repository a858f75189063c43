// docs/trace_format.md has the codes that records have: whoever writes a reader from it reads what the library writes.
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "tierlib/replay.h"
#include "tierlib/storage_id.h"
#include "trace/check/saved_ledger.h"
#include "trace/event.h"
#include "trace/reader.h"

namespace tierlib::trace {
namespace {

const std::string& Document() {
  static const auto& text = *new std::string(ReadWhole(TIERLIB_TRACE_FORMAT_DOCUMENT));
  return text;
}

// The names in the table of codes under the heading, whose codes count from 0.
std::vector<std::string> NamesUnder(const std::string& heading) {
  std::vector<std::string> names;
  std::size_t at = Document().find("\n#### " + heading + '\n');
  if (at == std::string::npos) return names;
  const std::size_t end = Document().find("\n#", at + 1);
  at = Document().find("\n|---|", at);
  at = Document().find('\n', at + 1);
  while (at < end && Document().compare(at, 3, "\n| ") == 0) {
    const std::string code = "\n| " + std::to_string(names.size()) + " | ";
    EXPECT_EQ(Document().compare(at, code.size(), code), 0) << heading << ": " << Document().substr(at, 40);
    const std::size_t name = Document().find(" | ", at) + 3;
    names.push_back(Document().substr(name, Document().find(" |", name) - name));
    at = Document().find('\n', at + 1);
  }
  return names;
}

std::vector<std::string> Names(std::size_t count, const std::function<const char*(std::size_t)>& name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.emplace_back(name(i));
  EXPECT_STREQ(name(count), "?") << "the count is that of all names";
  return names;
}

TEST(FormatDocument, HasTheCodesOfEveryEnum) {
  EXPECT_EQ(NamesUnder("Tag"), Names(kTagCount, [](std::size_t i) { return TagName(static_cast<Tag>(i)); }));
  EXPECT_EQ(NamesUnder("Tier"),
            Names(kTierCodeCount, [](std::size_t i) { return TierCodeName(static_cast<TierCode>(i)); }));
  EXPECT_EQ(NamesUnder("StallCause"),
            Names(kStallCauseCount, [](std::size_t i) { return StallCauseName(static_cast<StallCause>(i)); }));
  EXPECT_EQ(NamesUnder("Action"), Names(kDecisionActionCount, [](std::size_t i) {
              return DecisionActionName(static_cast<DecisionAction>(i));
            }));
  EXPECT_EQ(NamesUnder("Reason"), Names(kDecisionReasonCount, [](std::size_t i) {
              return DecisionReasonName(static_cast<DecisionReason>(i));
            }));
  EXPECT_EQ(NamesUnder("Residency"), Names(kResidencyCodeCount, ResidencyCodeName));
}

// These have no names in the library: the numbers are held here.
TEST(FormatDocument, HasTheCodesOfEnumsWithoutNames) {
  static_assert(static_cast<int>(DirectionCode::kOut) == 0 && static_cast<int>(DirectionCode::kIn) == 1 &&
                static_cast<int>(DirectionCode::kWithin) == 2 && kDirectionCodeCount == 3);
  EXPECT_EQ(NamesUnder("CopyDirection"), (std::vector<std::string>{"out", "in", "within"}));
  static_assert(static_cast<int>(Holds::kTransient) == 0 && static_cast<int>(Holds::kPersistent) == 1);
  EXPECT_EQ(NamesUnder("Holds"), (std::vector<std::string>{"transient", "persistent"}));
  static_assert(static_cast<int>(Replay::Kind::kCopy) == 0 && static_cast<int>(Replay::Kind::kCallback) == 1);
  EXPECT_EQ(NamesUnder("Replay::Kind"), (std::vector<std::string>{"copy", "callback"}));
  static_assert(kNoTier == 255 && kRecomputedInstead == 254);
  EXPECT_NE(Document().find("255 (none: the value stayed) and 254"), std::string::npos);
}

TEST(FormatDocument, HasTheReasonsOfGaps) {
  std::string reasons;
  for (std::size_t i = 0; i < kGapReasonCount; ++i) {
    reasons += (i == 0 ? "" : ", ") + std::to_string(i) + ' ' + GapReasonName(static_cast<GapReason>(i));
  }
  EXPECT_NE(Document().find("| reason | " + reasons + " |"), std::string::npos) << reasons;
}

}  // namespace
}  // namespace tierlib::trace
