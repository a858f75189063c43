// What holds of the CUDA backend beside the contract that every device keeps (tests/allocator). On machines without a
// GPU only the refusal is tested; the rest is skipped, with that reason.
#include "allocator/cuda/cuda_device.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

DeviceOptions Cuda(std::uint64_t capacity) {
  DeviceOptions options;
  options.kind = DeviceKind::kCuda;
  options.capacity = capacity;
  return options;
}

TEST(CudaDevice, SaysWhatIsMissingWhereThereIsNoDevice) {
  DeviceOptions options = Cuda(MiB(64));
  options.device = CudaDeviceCount();  // one beyond the last
  const StatusOr<std::unique_ptr<DeviceBackend>> device = MakeCudaDevice(options);
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.status().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(device.status().message()), ::testing::HasSubstr("CUDA"));
}

class OnCudaDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
    device_ = MakeCudaDevice(Cuda(MiB(64))).value();
    stream_ = device_->CreateStream("test").value();
  }
  void TearDown() override {
    if (device_ == nullptr) return;
    EXPECT_TRUE(device_->DestroyStream(stream_).ok());
  }

  std::unique_ptr<DeviceBackend> device_;
  Stream stream_;
};

TEST_F(OnCudaDevice, GrowsInAdjacentAscendingPiecesUpToItsCapacity) {
  const std::size_t piece = device_->info().granularity;
  std::vector<void*> pieces;
  for (std::uint64_t taken = 0; taken + piece <= device_->info().capacity; taken += piece) {
    pieces.push_back(device_->Reserve(piece).value());
    EXPECT_EQ(pieces.back(), static_cast<char*>(pieces.front()) + taken);
  }
  EXPECT_EQ(device_->Reserve(piece).status().code(), StatusCode::kResourceExhausted);
  // Joined pieces are one range for work.
  EXPECT_TRUE(device_->Fill(pieces.front(), 0x5A, device_->info().capacity, stream_).ok());
  EXPECT_TRUE(device_->SynchronizeStream(stream_).ok());
  EXPECT_TRUE(device_->Release(pieces.back(), piece).ok());
  EXPECT_EQ(device_->Reserve(piece).value(), pieces.back());
  for (void* base : pieces) EXPECT_TRUE(device_->Release(base, piece).ok());
}

TEST_F(OnCudaDevice, TellsWhenEventsCompletedOnTheHostsClock) {
  const EventId event = device_->CreateEvent().value();
  const std::int64_t before = NowNs();
  ASSERT_TRUE(device_->RecordEvent(event, stream_).ok());
  ASSERT_TRUE(device_->SynchronizeEvent(event).ok());
  const std::int64_t after = NowNs();
  const std::int64_t completed = device_->EventTimeNs(event);
  constexpr std::int64_t kAccuracyNs = 1'000'000;
  EXPECT_GE(completed, before - kAccuracyNs);
  EXPECT_LE(completed, after + kAccuracyNs);
  device_->DestroyEvent(event);
}

TEST_F(OnCudaDevice, CopiesTheRowsOfASliceThereAndBack) {
  const std::size_t piece = device_->info().granularity;
  std::uint8_t* memory = static_cast<std::uint8_t*>(device_->Reserve(piece).value());
  std::vector<std::uint8_t> from(4096);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(i * 7);
  std::vector<std::uint8_t> to(from.size());
  std::vector<CopyRun> out;
  std::vector<CopyRun> in;
  for (std::size_t row = 0; row < 64; ++row) {
    in.push_back(CopyRun{memory + row * 16, from.data() + row * 64, 16});
    out.push_back(CopyRun{to.data() + row * 64, memory + row * 16, 16});
  }
  ASSERT_TRUE(device_->Copy(in, CopyDirection::kHostToDevice, stream_).ok());
  ASSERT_TRUE(device_->Copy(out, CopyDirection::kDeviceToHost, stream_).ok());
  ASSERT_TRUE(device_->SynchronizeStream(stream_).ok());
  for (std::size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i], i % 64 < 16 ? from[i] : 0) << i;
  EXPECT_EQ(device_->CopiedBytes(CopyDirection::kHostToDevice), 1024u);
  EXPECT_EQ(device_->CopiedBytes(CopyDirection::kDeviceToHost), 1024u);
  EXPECT_TRUE(device_->Release(memory, piece).ok());
}

// The driver's own functions, which say what the runtime's cannot without changing it. The driver is loaded by then.
template <typename Function>
Function* DriverFunction(const char* name) {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  return driver == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(driver, name));
}

bool NoContextIsCurrent() {
  void* context = nullptr;
  auto* get = DriverFunction<int(void**)>("cuCtxGetCurrent");
  return get != nullptr && get(&context) == 0 && context == nullptr;
}

TEST_F(OnCudaDevice, LeavesAThreadThatChoseNoDeviceWithoutOne) {
  bool before = false;
  bool after = false;
  std::thread([&] {
    before = NoContextIsCurrent();
    const std::unique_ptr<DeviceBackend> device = MakeCudaDevice(Cuda(MiB(64))).value();
    const Stream stream = device->CreateStream("s").value();
    EXPECT_TRUE(device->SynchronizeStream(stream).ok());
    EXPECT_TRUE(device->DestroyStream(stream).ok());
    after = NoContextIsCurrent();
  }).join();
  EXPECT_TRUE(before);
  EXPECT_TRUE(after);
}

using CudaDeviceDeathTest = testing::Test;

TEST(CudaDeviceDeathTest, MakesNoContextOnAnotherDevice) {
  if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process that has no context yet
  const auto use_the_last = [] {
    DeviceOptions options = Cuda(MiB(64));
    options.device = CudaDeviceCount() - 1;
    const std::unique_ptr<DeviceBackend> device = MakeCudaDevice(options).value();
    const Stream stream = device->CreateStream("s").value();
    if (!device->SynchronizeStream(stream).ok()) std::_Exit(2);
    auto* state = DriverFunction<int(int, unsigned*, int*)>("cuDevicePrimaryCtxGetState");
    for (int other = 0; other < options.device; ++other) {
      unsigned flags = 0;
      int active = 1;
      if (state == nullptr || state(other, &flags, &active) != 0 || active != 0) std::_Exit(1);
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(use_the_last(), testing::ExitedWithCode(0), "");
}

TEST_F(OnCudaDevice, RefusesHostKernelsAndImpossibleCapacities) {
  HostKernel kernel{"anything", {Access{}}, [](KernelContext&) {}};
  EXPECT_EQ(device_->Launch(stream_, std::move(kernel)).code(), StatusCode::kUnimplemented);
  EXPECT_EQ(MakeCudaDevice(Cuda(std::uint64_t{1} << 50)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeCudaDevice(Cuda(1)).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib
