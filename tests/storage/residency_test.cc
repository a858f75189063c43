// The table of legal changes, written down a second time, and what an illegal one does.
#include "storage/residency.h"

#include <map>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace tierlib {
namespace {

constexpr Residency kAll[] = {Residency::kDevice,     Residency::kLeaving,  Residency::kBoth, Residency::kHost,
                              Residency::kReplayable, Residency::kReplayed, Residency::kLost};

const std::map<std::string, std::set<std::string>>& Legal() {
  static const auto& legal = *new std::map<std::string, std::set<std::string>>{
      {"device", {"leaving", "replayable", "replayed", "lost"}},
      {"leaving", {"device", "leaving", "both", "host", "lost"}},
      {"both", {"leaving", "host", "lost"}},
      {"host", {"leaving", "both", "lost"}},
      {"replayable", {"leaving", "replayed", "lost"}},
      {"replayed", {"device", "leaving", "replayable", "lost"}},
      {"lost", {}},
  };
  return legal;
}

TEST(Residency, ChangesAsTheTableSays) {
  for (const Residency from : kAll) {
    for (const Residency to : kAll) {
      EXPECT_EQ(IsLegalChange(from, to), Legal().at(ResidencyName(from)).count(ResidencyName(to)) > 0)
          << ResidencyName(from) << " to " << ResidencyName(to);
    }
  }
}

TEST(Residency, ASnapshotStartsOnTheDeviceAndFollowsLegalChanges) {
  Residence residence;
  EXPECT_EQ(residence.state(), Residency::kDevice);
  for (const Residency next : {Residency::kLeaving, Residency::kHost, Residency::kBoth, Residency::kLeaving,
                               Residency::kBoth, Residency::kHost, Residency::kLost}) {
    residence.MoveTo(next, StorageId{1, 1}, 8, nullptr);
    EXPECT_EQ(residence.state(), next);
  }
}

TEST(ResidencyDeathTest, AnIllegalChangeAbortsNamingBothStates) {
  Residence residence;
  EXPECT_DEATH(residence.MoveTo(Residency::kHost, StorageId{1, 1}, 8, nullptr),
               "residency cannot go from device to host");
  Residence lost;
  lost.MoveTo(Residency::kLost, StorageId{1, 1}, 8, nullptr);
  EXPECT_DEATH(lost.MoveTo(Residency::kDevice, StorageId{1, 1}, 8, nullptr), "from lost to device");
}

}  // namespace
}  // namespace tierlib
