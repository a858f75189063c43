// ChecksumSlots on emulated devices, with a kernel that does in steps what the one of a GPU does: races over what looks
// share would show.
#include "graph/checksum_slots.h"

#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/device_factory.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

struct Device {
  explicit Device(EmulatedSchedule schedule, std::uint64_t pinned = MiB(4)) {
    DeviceOptions options;
    options.capacity = MiB(1);
    options.emulated.schedule = schedule;
    options.emulated.kernel_threads = 1;
    options.emulated.find_races = true;
    tier = DeviceTier::Create(options, MakeDevice(options).value(), {pinned, 0}, deferred, nullptr).value();
    for (Stream& stream : streams) stream = tier->backend->CreateStream("s").value();
    slots = std::make_unique<ChecksumSlots>(
        *tier, [this](const ChecksumLaunch& launch, Stream stream) { return Kernel(launch, stream); });
  }

  // Clears the sum, adds each range's part to it, and notes what came out.
  Status Kernel(const ChecksumLaunch& launch, Stream stream) const {
    DeviceBackend& device = *tier->backend;
    auto* const sum = static_cast<std::uint32_t*>(launch.sum);
    const Access of_sum = {sum, sizeof(*sum), true};
    TIERLIB_RETURN_IF_ERROR(device.Launch(stream, {"clear", {of_sum}, [sum](KernelContext&) { *sum = 0; }}));
    for (std::size_t i = 0; i < launch.count; ++i) {
      const ChecksumRange range = launch.ranges[i];
      const auto add = [sum, range](KernelContext&) { *sum = Crc32cExtend(*sum, range.begin, range.bytes); };
      TIERLIB_RETURN_IF_ERROR(device.Launch(stream, {"add", {of_sum, {range.begin, range.bytes, false}}, add}));
    }
    const auto note = [sum, result = launch.result, none = launch.none](KernelContext&) {
      const std::uint64_t first = result->value;
      if (first == none) result->value = *sum;
      if (first != none && first != *sum) result->differed = 1;
    };
    return device.Launch(stream, {"note", {of_sum, {launch.result, sizeof(ChecksumWords), true}}, note});
  }

  std::shared_ptr<DeviceBuffer> Make(const std::vector<std::uint8_t>& bytes, Stream stream) {
    void* const block = tier->pool->Allocate(bytes.size(), stream).value();
    auto buffer = std::make_shared<DeviceBuffer>(*tier->pool, block, 0, bytes.size());
    buffer->UsedOn(stream);
    Write(*buffer, bytes, stream);
    return buffer;
  }
  void Write(const DeviceBuffer& buffer, const std::vector<std::uint8_t>& bytes, Stream stream) {
    const auto write = [to = buffer.data(), bytes](KernelContext&) { std::memcpy(to, bytes.data(), bytes.size()); };
    EXPECT_TRUE(tier->backend->Launch(stream, {"write", {{buffer.data(), bytes.size(), true}}, write}).ok());
  }

  Deferred deferred;
  std::unique_ptr<DeviceTier> tier;
  Stream streams[2];
  std::unique_ptr<ChecksumSlots> slots;
};

std::vector<std::uint8_t> RandomBytes(Random& random, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.NextU32());
  return bytes;
}

ByteRanges Twice(ByteRange a, ByteRange b) { return ByteRanges(a).Union(ByteRanges(b)); }

TEST(ChecksumSlots, NoteTheFirstLookAndWhetherALaterOneDiffers) {
  for (const EmulatedSchedule schedule : {EmulatedSchedule::kDeterministic, EmulatedSchedule::kThreaded}) {
    Device d(schedule);
    Random random(1);
    const std::vector<std::uint8_t> bytes = RandomBytes(random, 1000);
    const std::shared_ptr<DeviceBuffer> buffer = d.Make(bytes, d.streams[0]);
    const ByteRanges ranges = Twice({3, 100}, {500, 999});
    const std::shared_ptr<DeviceChecksum> checksum = d.slots->Take().value();
    EXPECT_EQ(checksum->value.load(), DeviceChecksum::kNone);
    ASSERT_TRUE(d.slots->Launch(ranges, *buffer, *checksum, d.streams[0]).ok());
    ASSERT_TRUE(d.slots->Launch(ranges, *buffer, *checksum, d.streams[0]).ok());
    ASSERT_TRUE(d.tier->backend->SynchronizeStream(d.streams[0]).ok());
    EXPECT_EQ(checksum->value.load(), Crc32cExtend(Crc32c(bytes.data() + 3, 97), bytes.data() + 500, 499));
    EXPECT_EQ(checksum->differed.load(), 0u);
    d.Write(*buffer, RandomBytes(random, 1000), d.streams[0]);
    ASSERT_TRUE(d.slots->Launch(ranges, *buffer, *checksum, d.streams[0]).ok());
    ASSERT_TRUE(d.tier->backend->SynchronizeStream(d.streams[0]).ok());
    EXPECT_EQ(checksum->differed.load(), 1u);
  }
}

TEST(ChecksumSlots, AreUsedAgainOnlyAfterTheirWork) {
  for (const EmulatedSchedule schedule : {EmulatedSchedule::kDeterministic, EmulatedSchedule::kThreaded}) {
    Device d(schedule);
    Random random(2);
    struct Look {
      std::shared_ptr<DeviceChecksum> checksum;
      std::uint32_t expected = 0;
    };
    const std::vector<std::uint8_t> bytes = RandomBytes(random, 256);
    const std::shared_ptr<DeviceBuffer> buffers[] = {d.Make(bytes, d.streams[0]), d.Make(bytes, d.streams[1])};
    const auto look_at = [&](std::size_t of) {
      const std::uint64_t end = 1 + random.UniformInt(256);
      Look look;
      look.checksum = d.slots->Take().value();
      look.expected = Crc32c(bytes.data(), end);
      EXPECT_TRUE(d.slots->Launch(ByteRanges({0, end}), *buffers[of], *look.checksum, d.streams[of]).ok());
      return look;
    };
    // More looks than the ring has words, with nothing that waits for them; of some the checksum is dropped at once.
    std::vector<Look> looks;
    for (int i = 0; i < 1200; ++i) {
      Look look = look_at(static_cast<std::size_t>(i / 7 % 2));
      if (i % 3 != 0) looks.push_back(std::move(look));
    }
    for (const Stream stream : d.streams) ASSERT_TRUE(d.tier->backend->SynchronizeStream(stream).ok());
    for (const Look& look : looks) EXPECT_EQ(look.checksum->value.load(), look.expected);
    const std::size_t live = d.tier->pinned->live_bytes();
    looks.clear();
    for (int i = 0; i < 600; ++i) {
      const std::size_t of = random.UniformInt(2);
      const Look look = look_at(of);
      ASSERT_TRUE(d.tier->backend->SynchronizeStream(d.streams[of]).ok());
      EXPECT_EQ(look.checksum->value.load(), look.expected);
    }
    EXPECT_EQ(d.tier->pinned->live_bytes(), live) << "slots come back";
    EXPECT_TRUE(d.tier->backend->health().ok()) << d.tier->backend->health();
    d.slots.reset();
    EXPECT_EQ(d.tier->pinned->live_bytes(), 0u);
  }
}

// Slots that came back while work still writes them cost memory once, not at every take.
TEST(ChecksumSlots, GrowByWhatIsPendingAndNoFurther) {
  Device d(EmulatedSchedule::kThreaded);
  const std::vector<std::uint8_t> bytes(256, 7);
  const std::shared_ptr<DeviceBuffer> buffer = d.Make(bytes, d.streams[0]);
  {  // The first look waits for its stream.
    const std::shared_ptr<DeviceChecksum> first = d.slots->Take().value();
    ASSERT_TRUE(d.slots->Launch(ByteRanges({0, 256}), *buffer, *first, d.streams[0]).ok());
    ASSERT_TRUE(d.tier->backend->SynchronizeStream(d.streams[0]).ok());
  }
  std::promise<void> go_on;
  const auto wait = [wait = go_on.get_future().share()](KernelContext&) { wait.wait(); };
  ASSERT_TRUE(d.tier->backend->Launch(d.streams[0], {"wait", {}, wait}).ok());
  std::vector<std::shared_ptr<DeviceChecksum>> taken;
  taken.push_back(d.slots->Take().value());
  const std::size_t slab = d.tier->pinned->live_bytes();
  const std::size_t slots = slab / sizeof(DeviceChecksum);
  while (taken.size() < slots) taken.push_back(d.slots->Take().value());
  for (const std::shared_ptr<DeviceChecksum>& each : taken) {
    ASSERT_TRUE(d.slots->Launch(ByteRanges({0, 256}), *buffer, *each, d.streams[0]).ok());
  }
  taken.clear();
  EXPECT_EQ(d.tier->pinned->live_bytes(), slab);
  for (std::size_t i = 0; i < slots; ++i) {
    taken.push_back(d.slots->Take().value());
    EXPECT_EQ(d.tier->pinned->live_bytes(), 2 * slab) << i;
  }
  go_on.set_value();
  ASSERT_TRUE(d.tier->backend->SynchronizeStream(d.streams[0]).ok());
  for (std::size_t i = 0; i < slots; ++i) taken.push_back(d.slots->Take().value());
  EXPECT_EQ(d.tier->pinned->live_bytes(), 2 * slab);
}

TEST(ChecksumSlots, SayWhenPinnedMemoryHasNoRoom) {
  Device d(EmulatedSchedule::kDeterministic, KiB(8));
  std::vector<std::shared_ptr<DeviceChecksum>> taken;
  Status status;
  while (status.ok() && taken.size() < 10'000) {
    StatusOr<std::shared_ptr<DeviceChecksum>> one = d.slots->Take();
    status = one.status();
    if (one.ok()) taken.push_back(*std::move(one));
  }
  EXPECT_EQ(taken.size(), KiB(8) / sizeof(DeviceChecksum));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.ToString(), testing::HasSubstr("pinned memory has no 4 KiB for checksums"));
  taken.pop_back();
  EXPECT_TRUE(d.slots->Take().ok());
}

}  // namespace
}  // namespace tierlib
