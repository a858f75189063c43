// The arithmetic of the CUDA kernel that takes checksums, on the host: the same source, in any order of blocks and
// threads.
#include "graph/cuda/crc32c_parts.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/random.h"

namespace tierlib {
namespace {

// What a device's blocks and threads compute, on the host, in an order of its own.
std::uint32_t InParts(std::vector<crc32c::Range> ranges, std::uint32_t most_tiles, std::uint64_t least_bytes,
                      Random& random) {
  constexpr crc32c::Powers kPowers = crc32c::MakePowers();
  crc32c::ShiftTable row;
  const std::uint32_t shift = crc32c::ShiftBy(kPowers, crc32c::kRowBytes);
  for (int place = 0; place < 4; ++place) {
    for (std::uint32_t byte = 0; byte < 256; ++byte) row.of[place][byte] = crc32c::EntryOf(shift, place, byte);
  }
  std::uint64_t bytes = 0;
  for (const crc32c::Range& range : ranges) bytes += range.bytes;
  std::uint64_t before = 0;
  std::vector<std::pair<const crc32c::Range*, std::uint32_t>> tiles;
  for (crc32c::Range& range : ranges) {
    before += range.bytes;
    range.after = bytes - before;
    crc32c::PlanTiles(range, most_tiles, least_bytes);
    EXPECT_LE(range.tiles, most_tiles);
    for (std::uint32_t tile = 0; tile < range.tiles; ++tile) tiles.emplace_back(&range, tile);
  }
  std::uint32_t sum = 0;
  while (!tiles.empty()) {
    std::swap(tiles[random.UniformInt(static_cast<std::uint32_t>(tiles.size()))], tiles.back());
    const auto [range, tile] = tiles.back();
    tiles.pop_back();
    std::uint32_t lanes = 0;
    for (int lane = crc32c::kLanes; lane-- > 0;) {
      const std::uint32_t to_end =
          crc32c::ShiftBy(kPowers, static_cast<std::uint64_t>(4 * (crc32c::kLanes - 1 - lane)));
      lanes ^= crc32c::LaneOfTile(*range, tile, lane, row, to_end);
    }
    sum ^= crc32c::PartOfTile(kPowers, *range, tile, lanes);
  }
  return crc32c::Finish(kPowers, sum, bytes);
}

TEST(Crc32cParts, AddUpToTheWholeForEveryLengthAndAlignment) {
  Random random(12);
  std::vector<unsigned char> bytes(4096 + 16);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.NextU32());
  for (std::size_t begin = 0; begin < 4; ++begin) {
    for (std::size_t size = 0; size < 40; ++size) {
      const unsigned char* const at = bytes.data() + begin;
      ASSERT_EQ(InParts({{at, size}}, 4, 0, random), Crc32c(at, size)) << size << " bytes from " << begin;
    }
    for (const std::size_t size : {1023u, 1024u, 1025u, 2047u, 3072u, 4095u, 4096u}) {
      const unsigned char* const at = bytes.data() + begin;
      for (const std::uint32_t most : {1u, 3u, 64u}) {
        ASSERT_EQ(InParts({{at, size}}, most, 0, random), Crc32c(at, size)) << size << " bytes from " << begin;
      }
    }
  }
}

TEST(Crc32cParts, OfSeveralRangesAreThoseOfTheRangesOneAfterTheOther) {
  Random random(13);
  std::vector<unsigned char> bytes(100'000);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.NextU32());
  for (int round = 0; round < 20; ++round) {
    std::vector<crc32c::Range> ranges;
    std::uint32_t expected = 0;
    for (std::uint32_t i = 0; i <= random.UniformInt(6); ++i) {
      const std::size_t begin = random.UniformInt(50'000);
      const std::size_t size = random.UniformInt(3) == 0 ? random.UniformInt(9) : random.UniformInt(50'000);
      ranges.push_back({bytes.data() + begin, size});
      expected = Crc32cExtend(expected, bytes.data() + begin, size);
    }
    ASSERT_EQ(InParts(ranges, 1 + random.UniformInt(12), random.UniformInt(4096), random), expected)
        << "round " << round;
  }
}

TEST(Crc32cParts, ShiftsAreProducts) {
  constexpr crc32c::Powers kPowers = crc32c::MakePowers();
  Random random(14);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t a = random.NextU32() >> random.UniformInt(30);
    const std::uint64_t b = std::uint64_t{random.NextU32()} << random.UniformInt(15);
    EXPECT_EQ(crc32c::Product(crc32c::ShiftBy(kPowers, a), crc32c::ShiftBy(kPowers, b)),
              crc32c::ShiftBy(kPowers, a + b));
  }
  EXPECT_EQ(crc32c::ShiftBy(kPowers, 0), 0x80000000u);
}

}  // namespace
}  // namespace tierlib
