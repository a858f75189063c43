// A device without bytes: nothing runs, everything is complete at once, and a touch faults.
#include <gtest/gtest.h>

#include <memory>

#include "allocator/device_factory.h"
#include "base/clock.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(std::uint64_t capacity) {
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated = {.schedule = EmulatedSchedule::kShapeOnly, .kernel_threads = 1, .poison = true};
  return MakeDevice(options).value();
}

TEST(ShapeOnly, RunsNothingAndCompletesEverything) {
  const auto device = Make(GiB(64));
  EXPECT_TRUE(device->info().shape_only);
  const Stream stream = device->CreateStream("s").value();
  void* block = device->Reserve(GiB(60)).value();
  bool ran = false;
  std::uint8_t host = 3;
  EXPECT_TRUE(device->Launch(stream, {"k", {}, [&ran](KernelContext&) { ran = true; }}).ok());
  EXPECT_TRUE(device->Launch(stream, {"no body", {}, nullptr}).ok());
  EXPECT_TRUE(device->Copy({{&host, block, 1}}, CopyDirection::kDeviceToHost, stream).ok());
  EXPECT_TRUE(device->Fill(block, 1, GiB(60), stream).ok());
  device->NoteBlock(block, GiB(60), true, stream);
  const EventId event = device->CreateEvent().value();
  const std::int64_t before_ns = NowNs();
  EXPECT_TRUE(device->RecordEvent(event, stream).ok());
  EXPECT_TRUE(device->EventDone(event).value());
  EXPECT_GE(device->EventTimeNs(event), before_ns);
  EXPECT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_FALSE(ran);
  EXPECT_EQ(host, 3);
  EXPECT_EQ(device->CopiedBytes(CopyDirection::kDeviceToHost), 1u) << "counted all the same";
  EXPECT_EQ(device->Reserve(GiB(5)).status().code(), StatusCode::kResourceExhausted);
}

TEST(ShapeOnly, StillRefusesBadArguments) {
  const auto device = Make(MiB(1));
  const Stream stream = device->CreateStream("s").value();
  const EventId event = device->CreateEvent().value();
  ASSERT_TRUE(device->DestroyStream(stream).ok());
  EXPECT_EQ(device->Launch(stream, {"k", {}, nullptr}).code(), StatusCode::kNotFound);
  EXPECT_EQ(device->RecordEvent(event, stream).code(), StatusCode::kNotFound);
  EXPECT_EQ(device->DestroyStream(stream).code(), StatusCode::kNotFound);
}

TEST(ShapeOnly, LaunchesGraphsWithoutRunningThem) {
  const auto device = Make(MiB(1));
  const Stream stream = device->CreateStream("s").value();
  const EventId event = device->CreateEvent().value();
  void* const block = device->Reserve(KiB(4)).value();
  std::uint8_t host = 3;
  ASSERT_TRUE(device->BeginCapture(stream).ok());
  ASSERT_TRUE(device->Copy({{&host, block, 1}}, CopyDirection::kDeviceToHost, stream).ok());
  const GraphId graph = device->EndCapture(stream).value();
  EXPECT_EQ(device->CopiedBytes(CopyDirection::kDeviceToHost), 0u);
  ASSERT_TRUE(device->LaunchGraph(graph, stream).ok());
  ASSERT_TRUE(device->LaunchGraph(graph, stream).ok());
  ASSERT_TRUE(device->RecordEvent(event, stream).ok());
  EXPECT_TRUE(device->EventDone(event).value());
  EXPECT_EQ(device->CopiedBytes(CopyDirection::kDeviceToHost), 2u);
  EXPECT_EQ(host, 3);
  EXPECT_TRUE(device->DestroyGraph(graph).ok());
}

using ShapeOnlyDeathTest = testing::Test;

TEST(ShapeOnlyDeathTest, ATouchFaults) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto device = Make(MiB(1));
  auto* block = static_cast<volatile std::uint8_t*>(device->Reserve(KiB(4)).value());
  EXPECT_DEATH(*block = 1, "");
}

}  // namespace
}  // namespace tierlib
