// The host memory of a device is on the node that the device is at, and stays with it.
#include "storage/device_tier.h"

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "allocator/device_factory.h"
#include "allocator/fake_topology.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

// A machine of three nodes with device 0 at node 1 and device 1 at node 2; the program runs on node 0.
class TwoDevices : public testing::Test {
 protected:
  StatusOr<std::unique_ptr<DeviceTier>> MakeTier(int device, int node) {
    DeviceOptions options;
    options.device = device;
    options.capacity = MiB(8);
    options.emulated.schedule = EmulatedSchedule::kDeterministic;
    options.emulated.numa_node = node;
    return DeviceTier::Create(options, MakeDevice(options).value(), {{MiB(16)}, {MiB(16)}}, deferred_, nullptr,
                              machine_);
  }

  FakeTopology machine_{3};
  Deferred deferred_;
};

TEST_F(TwoDevices, BlocksStayOnTheNodeOfTheirDevice) {
  const std::unique_ptr<DeviceTier> tiers[] = {MakeTier(0, 1).value(), MakeTier(1, 2).value()};
  const Stream streams[] = {tiers[0]->backend->CreateStream("a").value(), tiers[1]->backend->CreateStream("b").value()};
  std::vector<std::shared_ptr<HostBuffer>> held[2];
  std::set<void*> seen[2];
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t device = random.UniformInt(2);
    if (random.UniformInt(2) == 0 && !held[device].empty()) {  // what is freed here must not come back there
      held[device].erase(held[device].begin() + static_cast<std::ptrdiff_t>(random.UniformInt(held[device].size())));
      continue;
    }
    auto buffer = tiers[device]->AllocateHost(1 + random.UniformInt(KiB(64)), streams[device]).value();
    ASSERT_TRUE(tiers[device]->pinned->Contains(buffer->data())) << "small enough for pinned memory";
    ASSERT_EQ(machine_.NodeOf(buffer->data()), static_cast<int>(device) + 1) << "round " << round;
    seen[device].insert(buffer->data());
    held[device].push_back(std::move(buffer));
  }
  for (void* const block : seen[0]) EXPECT_FALSE(seen[1].contains(block)) << "handed out by both pools";
  for (const int device : {0, 1}) {
    const Placement placement = tiers[device]->pinned->VerifyPlacement().value();
    EXPECT_EQ(placement.node, device + 1);
    EXPECT_EQ(placement.elsewhere, 0u);
    EXPECT_EQ(placement.pages[0], 0u) << "where the program runs";
    EXPECT_EQ(placement.pages[static_cast<std::size_t>(device) + 1],
              tiers[device]->pinned->statistics().reserved / PageBytes());
    held[device].clear();
  }
}

TEST_F(TwoDevices, AFullNodeFallsBackToPageableMemory) {
  const auto tier = MakeTier(0, 1).value();
  const Stream stream = tier->backend->CreateStream("a").value();
  machine_.free[1] = 0;
  const auto buffer = tier->AllocateHost(KiB(64), stream).value();
  EXPECT_TRUE(tier->pageable->Contains(buffer->data()));
}

TEST_F(TwoDevices, ANodeThatIsNotThereIsRefused) {
  EXPECT_THAT(MakeTier(0, 3).status().ToString(), HasSubstr("NUMA node 3: the highest of this machine is 2"));
}

}  // namespace
}  // namespace tierlib
