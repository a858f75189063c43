// CaptureDevice: asks nothing and waits for nothing, and gives no work away once the capture has ended.
#include "storage/capture_device.h"

#include <memory>

#include "gtest/gtest.h"
#include "storage/failing_device.h"

namespace tierlib {
namespace {

TEST(CaptureDevice, AnswersForTheDeviceUntilNoLaunchWillCome) {
  DeviceOptions options;
  options.capacity = MiB(1);
  options.emulated.kernel_threads = 1;
  FailingDevice device(options);
  auto memory = std::make_shared<int>(1);
  CaptureDevice capture(device, KiB(64), memory);
  const Stream stream = capture.CreateStream("captured").value();
  ASSERT_EQ(capture.streams().size(), 1u);
  EXPECT_EQ(capture.info().capacity, KiB(64));
  void* const block = device.Reserve(KiB(4)).value();
  const EventId event = capture.CreateEvent().value();
  const auto code = [](const Status& status) { return status.code(); };
  EXPECT_EQ(code(capture.Reserve(KiB(4)).status()), StatusCode::kResourceExhausted) << "pools are given their memory";
  EXPECT_EQ(code(capture.PinHost(block, 1)), StatusCode::kResourceExhausted);
  ASSERT_TRUE(capture.Fill(block, 1, KiB(4), stream).ok());
  ASSERT_TRUE(capture.RecordEvent(event, stream).ok());
  ASSERT_TRUE(device.SynchronizeStream(stream).ok());
  for (const bool ended : {false, true}) {
    EXPECT_FALSE(capture.EventDone(event).value()) << "the next launch is yet to come";
    EXPECT_EQ(code(capture.SynchronizeEvent(event)), StatusCode::kFailedPrecondition);
    EXPECT_EQ(code(capture.SynchronizeStream(stream)), StatusCode::kFailedPrecondition);
    EXPECT_EQ(code(capture.Synchronize()), StatusCode::kFailedPrecondition);
    if (!ended) capture.End();
  }
  EXPECT_EQ(code(capture.Fill(block, 2, KiB(4), stream)), StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(capture.Copy({}, CopyDirection::kDeviceToHost, stream)), StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(capture.Launch(stream, {"k", {}, [](KernelContext&) {}})), StatusCode::kFailedPrecondition);
  device.record_event.calls = 0;  // what is given back now orders nothing
  EXPECT_TRUE(capture.RecordEvent(event, stream).ok());
  EXPECT_TRUE(capture.WaitEvent(stream, event).ok());
  capture.Over();
  EXPECT_TRUE(capture.EventDone(event).value());
  EXPECT_TRUE(capture.SynchronizeEvent(event).ok());
  EXPECT_TRUE(capture.Synchronize().ok());
  EXPECT_EQ(device.event_done.count.load(), 0u) << "the device was never asked";
  ASSERT_TRUE(capture.DestroyStream(stream).ok());
  EXPECT_TRUE(capture.streams().empty());
  EXPECT_EQ(memory.use_count(), 2) << "it keeps what its store is in";
}

}  // namespace
}  // namespace tierlib
