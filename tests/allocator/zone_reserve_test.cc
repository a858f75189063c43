#include "allocator/zone_reserve.h"

#include <gtest/gtest.h>

#include <sstream>

namespace tierlib {
namespace {

constexpr char kZoneInfo[] = R"(Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 40
  pages free     2816
        boost    0
        min      35
        low      43
        high     51
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 700, 700, 9000, 700)
      nr_free_pages 2816
  pagesets
    cpu: 0
              count: 0
              high:  378
              batch: 63
Node 0, zone    DMA32
  pages free     100000
        min      2000
        low      2500
        high     3000
        managed  180000
        protection: (0, 0, 0, 0, 0)
Node 1, zone   Normal
  pages free     100000
        min      7000
        low      8000
        high     9000
        managed  190000
        protection: (0, 0, 0, 0, 0)
Node 1, zone  Movable
  pages free     0
        min      32
        low      32
        high     32
        managed  0
        protection: (0, 0, 0, 0, 0)
)";

std::uint64_t PagesOf(int node) {
  std::istringstream zoneinfo(kZoneInfo);
  return ZoneReservePages(zoneinfo, node);
}

TEST(ZoneReserve, IsTheHighWatermarkAndWhatIsKeptForOthersOfEachZone) {
  EXPECT_EQ(PagesOf(0), 3840u + 3000u) << "the first zone holds less than is kept from it";
  EXPECT_EQ(PagesOf(1), 9000u) << "a zone without pages keeps none";
}

TEST(ZoneReserve, IsNothingWhereTheKernelDoesNotTell) {
  EXPECT_EQ(PagesOf(2), 0u);
  std::istringstream nothing;
  EXPECT_EQ(ZoneReservePages(nothing, 0), 0u);
}

}  // namespace
}  // namespace tierlib
