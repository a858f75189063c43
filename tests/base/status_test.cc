#include "tierlib/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace tierlib {
namespace {

TEST(Status, DefaultsToOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(Status, PrintsCodeAndMessage) {
  EXPECT_EQ(ResourceExhaustedError("the tier is full").ToString(), "RESOURCE_EXHAUSTED: the tier is full");
  EXPECT_EQ(Status(StatusCode::kDataLoss).ToString(), "DATA_LOSS");
  std::ostringstream out;
  out << NotFoundError("no such file");
  EXPECT_EQ(out.str(), "NOT_FOUND: no such file");
}

TEST(Status, AnOkCodeHasNoMessage) { EXPECT_EQ(Status(StatusCode::kOk, "ignored"), OkStatus()); }

TEST(Status, ComparesCodeAndMessage) {
  EXPECT_EQ(InternalError("a"), InternalError("a"));
  EXPECT_NE(InternalError("a"), InternalError("b"));
  EXPECT_NE(InternalError("a"), UnavailableError("a"));
}

// The names and numbers are Abseil's (absl/status/status.h), so that a cast converts a code.
TEST(Status, EveryCodeHasAbseilsNumberAndName) {
  const std::vector<std::string> names = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS"};
  for (std::size_t code = 0; code < names.size(); ++code) {
    EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(code)), names[code]);
  }
  EXPECT_STREQ(StatusCodeName(static_cast<StatusCode>(99)), "UNKNOWN");
}

TEST(StatusOr, HoldsAValueOrAStatus) {
  StatusOr<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  EXPECT_TRUE(good.status().ok());
  const StatusOr<int> bad = InvalidArgumentError("no");
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(), "no");
}

TEST(StatusOr, MovesWhatCannotBeCopied) {
  StatusOr<std::unique_ptr<int>> made = std::make_unique<int>(3);
  ASSERT_TRUE(made.ok());
  const std::unique_ptr<int> taken = std::move(made).value();
  EXPECT_EQ(*taken, 3);
}

TEST(StatusOr, AnOkStatusIsNotAValue) {
  const StatusOr<int> made = OkStatus();
  EXPECT_EQ(made.status().code(), StatusCode::kInternal);
}

TEST(StatusOrDeathTest, ValueOfAFailureNamesTheStatus) {
  const StatusOr<int> bad = NotFoundError("weights.bin");
  EXPECT_DEATH(bad.value(), "NOT_FOUND: weights.bin");
}

StatusOr<int> Half(int number) {
  if (number % 2 != 0) return InvalidArgumentError("odd");
  return number / 2;
}
StatusOr<int> Quarter(int number) {
  TIERLIB_ASSIGN_OR_RETURN(const int half, Half(number));
  TIERLIB_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}
Status CheckQuarter(int number) {
  TIERLIB_RETURN_IF_ERROR(Quarter(number).status());
  return OkStatus();
}

TEST(Status, MacrosLeaveWithTheFirstError) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).status(), InvalidArgumentError("odd"));
  EXPECT_TRUE(CheckQuarter(8).ok());
  EXPECT_EQ(CheckQuarter(6).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib
