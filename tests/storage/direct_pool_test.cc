#include "storage/direct_pool.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/failing_device.h"

namespace tierlib {
namespace {

// A device without such an allocator, which is what the contract's default says.
TEST(DirectPool, IsNotMadeWhereTheDeviceHasNoSuchAllocator) {
  FailingDevice device(DeterministicDevice(1));
  EventPool events(device);
  const Status made = DirectPool::Create(device, events, NoTagLimits(), nullptr).status();
  EXPECT_EQ(made.code(), StatusCode::kUnimplemented);
  EXPECT_NE(made.message().find("stream order"), std::string_view::npos) << made;
}

struct Block {
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
  std::uint8_t value = 0;
  std::vector<Stream> users;
};

// Blocks are written and read on several streams, and are used again at once: each read sees its own block's bytes.
TEST(DirectPool, ABlockIsUsedAgainAfterTheWorkOfAllStreamsOnly) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(seed, KiB(8))).value();
    EventPool events(*device);
    const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, NoTagLimits(), nullptr).value();
    std::vector<Stream> streams;
    for (int i = 0; i < 3; ++i) streams.push_back(device->CreateStream("stream").value());
    int wrong = 0;
    std::size_t live = 0;
    std::vector<Block> blocks;
    for (int step = 0; step < 200; ++step) {
      const Stream stream = streams[random.UniformInt(streams.size())];
      if (random.UniformInt(2) == 0) {
        Block block;
        block.bytes = 1 + random.UniformInt(KiB(3));
        block.value = static_cast<std::uint8_t>(step);
        const StatusOr<void*> taken = pool->Allocate(block.bytes, stream, trace::Tag::kActivation);
        if (!taken.ok()) {
          ASSERT_EQ(taken.status().code(), StatusCode::kResourceExhausted);
          ++refused;
        } else {
          block.data = static_cast<std::uint8_t*>(*taken);
          ASSERT_TRUE(device->Fill(block.data, block.value, block.bytes, stream).ok());
          block.users = {stream};
          live += block.bytes;
          blocks.push_back(block);
        }
      } else if (!blocks.empty()) {
        std::swap(blocks[random.UniformInt(blocks.size())], blocks.back());
        Block& block = blocks.back();
        if (stream != block.users.front()) {
          const MarkRef filled = events.MarkNow(block.users.front()).value();
          ASSERT_TRUE(events.WaitOn(stream, *filled).ok());
          block.users.push_back(stream);
        }
        HostKernel read{
            "read", {}, [&wrong, data = block.data, bytes = block.bytes, value = block.value](KernelContext&) {
              for (std::size_t i = 0; i < bytes; ++i) wrong += data[i] != value ? 1 : 0;
            }};
        ASSERT_TRUE(device->Launch(stream, std::move(read)).ok());
        pool->Free(block.data, block.users);
        live -= block.bytes;
        blocks.pop_back();
      }
      ASSERT_EQ(pool->statistics().live, live);
      ASSERT_LE(pool->statistics().live + pool->statistics().waste, KiB(8));
    }
    for (const Block& block : blocks) pool->Free(block.data, block.users);
    ASSERT_TRUE(device->Synchronize().ok());
    EXPECT_EQ(wrong, 0) << "seed " << seed;
    EXPECT_EQ(pool->statistics().live, 0u);
  }
  EXPECT_GT(refused, 0u);
}

TEST(DirectPool, TakesBlocksBackWhoseStreamIsGone) {
  const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
  EventPool events(*device);
  const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, NoTagLimits(), nullptr).value();
  const Stream gone = device->CreateStream("gone").value();
  const Stream other = device->CreateStream("other").value();
  void* const block = pool->Allocate(KiB(16), gone, trace::Tag::kNone).value();
  ASSERT_TRUE(device->DestroyStream(gone).ok());
  pool->Free(block, {gone});
  void* const again = pool->Allocate(KiB(16), other, trace::Tag::kNone).value();
  pool->Free(again, {});
  void* const third = pool->Allocate(KiB(16), other, trace::Tag::kNone).value();
  EXPECT_EQ(pool->Allocate(1, other, trace::Tag::kNone).status().code(), StatusCode::kResourceExhausted);
  pool->Free(third, {other});
}

}  // namespace
}  // namespace tierlib
