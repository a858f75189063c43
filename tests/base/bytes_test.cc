#include "tierlib/bytes.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/random.h"

namespace tierlib {
namespace {

TEST(FormatBytes, GivesThreeDigitsAndABinaryUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(17), "17 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(KiB(1)), "1 KiB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(MiB(512)), "512 MiB");
  EXPECT_EQ(FormatBytes(MiB(1331)), "1.3 GiB");
  EXPECT_EQ(FormatBytes(MiB(12) + KiB(345)), "12.3 MiB");
  EXPECT_EQ(FormatBytes(MiB(100) + KiB(500)), "100 MiB");
  EXPECT_EQ(FormatBytes(~std::uint64_t{0}), "16 EiB");
}

TEST(FormatBytes, NeverShows1024OfAUnit) {
  EXPECT_EQ(FormatBytes(MiB(1) - 1), "1 MiB");
  EXPECT_EQ(FormatBytes(GiB(1) - KiB(1)), "1 GiB");
  EXPECT_EQ(FormatBytes(MiB(1023)), "1023 MiB");
  EXPECT_EQ(FormatBytes(KiB(100) - 1), "100 KiB");
  EXPECT_EQ(FormatBytes(KiB(10) - 1), "10 KiB");
}

struct Reading {
  const char* text;
  std::uint64_t bytes;
};

TEST(ParseBytes, ReadsNumbersWithUnits) {
  const Reading readings[] = {
      {"0", 0},
      {"4096", 4096},
      {"17B", 17},
      {"96MiB", MiB(96)},
      {"96 MiB", MiB(96)},
      {"  96 MiB  ", MiB(96)},
      {"96M", MiB(96)},
      {"96m", MiB(96)},
      {"96mib", MiB(96)},
      {"96MB", 96'000'000},
      {"64K", KiB(64)},
      {"64KB", 64'000},
      {"1.5GiB", MiB(1536)},
      {"1.5 GB", 1'500'000'000},
      {"2T", std::uint64_t{2} << 40},
      {"2TB", 2'000'000'000'000},
      {"1e9", 1'000'000'000},
      {"1E3K", 1'024'000},
      {"0.5K", 512},
      {"9007199254740993", 9007199254740993},  // 2^53 + 1: no double holds it
      {"9223372036854775807", 9223372036854775807},
  };
  for (const Reading& reading : readings) {
    const StatusOr<std::uint64_t> bytes = ParseBytes(reading.text);
    ASSERT_TRUE(bytes.ok()) << reading.text << ": " << bytes.status();
    EXPECT_EQ(*bytes, reading.bytes) << reading.text;
  }
}

TEST(ParseBytes, RefusesWhatIsNotASizeAndNamesIt) {
  for (const char* text :
       {"",    " ",  "-1", "+1",     "abc",   "MiB", "1X",   "1Ki", "1KiBs", "1 2", "1.5.2", "0x10",   "nan",
        "inf", "1e", ".5", "1,5GiB", "1 K B", "--4", "1Kb2", "1iB", "1bb",   "١",   "1e9e",  "5 GiBB", "1BK"}) {
    const StatusOr<std::uint64_t> bytes = ParseBytes(text);
    ASSERT_FALSE(bytes.ok()) << text << " was read as " << *bytes;
    EXPECT_EQ(bytes.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(bytes.status().message().find("\"" + std::string(text) + "\""), std::string::npos) << bytes.status();
  }
}

TEST(ParseBytes, RefusesWhatDoesNotFitInto63Bits) {
  for (const char* text : {"9223372036854775808", "18446744073709551616", "99999999999999999999999", "8388608T",
                           "9223373TB", "1e19", "1e400", "9223372036854775807K", "1e309", "8388608.0T"}) {
    const StatusOr<std::uint64_t> bytes = ParseBytes(text);
    ASSERT_FALSE(bytes.ok()) << text << " was read as " << *bytes;
    EXPECT_NE(bytes.status().message().find("too large"), std::string::npos) << bytes.status();
  }
}

TEST(ParseBytes, ALongTextIsCutInTheMessage) {
  EXPECT_LT(ParseBytes(std::string(100'000, 'x')).status().message().size(), 300u);
}

TEST(ParseBytes, ReadsBackWholeFormattedSizes) {
  Random random(20240601);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t bytes = (1 + random.UniformInt(999)) << (10 * random.UniformInt(5));
    EXPECT_EQ(ParseBytes(FormatBytes(bytes)).value(), bytes);
  }
}

}  // namespace
}  // namespace tierlib
