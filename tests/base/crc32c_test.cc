#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace tierlib {
namespace {

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(Crc32c, GivesThePublishedValues) {
  const std::vector<unsigned char> zeros(32, 0);
  const std::vector<unsigned char> ones(32, 0xff);
  std::vector<unsigned char> rising(32);
  std::vector<unsigned char> falling(32);
  for (unsigned char i = 0; i < 32; ++i) {
    rising[i] = i;
    falling[i] = static_cast<unsigned char>(31 - i);
  }
  EXPECT_EQ(Crc32c(zeros.data(), 32), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(ones.data(), 32), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(rising.data(), 32), 0x46DD794Eu);
  EXPECT_EQ(Crc32c(falling.data(), 32), 0x113FDB5Cu);
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c("", 0), 0u);
}

TEST(Crc32c, BothFormsAgreeForEveryLengthAndAlignment) {
  Random random(11);
  std::vector<unsigned char> bytes(4096);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.NextU32());
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; size < 300; ++size) {
      ASSERT_EQ(Crc32c(bytes.data() + begin, size), internal::Crc32cExtendPortable(0, bytes.data() + begin, size))
          << size << " bytes from " << begin;
    }
  }
  EXPECT_EQ(Crc32c(bytes.data(), bytes.size()), internal::Crc32cExtendPortable(0, bytes.data(), bytes.size()));
}

TEST(Crc32c, ExtendsInPieces) {
  const std::string text = "the whole is the sum of its pieces, wherever it is cut";
  const std::uint32_t whole = Crc32c(text.data(), text.size());
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32cExtend(Crc32c(text.data(), cut), text.data() + cut, text.size() - cut), whole);
  }
}

TEST(Crc32c, EverySingleBitCounts) {
  std::vector<unsigned char> bytes(64, 0x5a);
  const std::uint32_t before = Crc32c(bytes.data(), bytes.size());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << (bit % 8));
    EXPECT_NE(Crc32c(bytes.data(), bytes.size()), before);
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << (bit % 8));
  }
}

}  // namespace
}  // namespace tierlib
