#include "allocator/kernel_allocations.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "allocator/device_factory.h"
#include "base/thread_pool.h"

namespace tierlib {
namespace {

class KernelAllocations : public testing::TestWithParam<EmulatedSchedule> {
 protected:
  KernelAllocations() {
    DeviceOptions options;
    options.emulated = {.schedule = GetParam(), .kernel_threads = 4};
    device_ = MakeDevice(options).value();
    stream_ = device_->CreateStream("s").value();
  }
  // Allocations that a kernel makes.
  std::uint64_t Count(std::function<void(KernelContext&)> run) {
    const std::uint64_t before = EmulatedKernelAllocations();
    EXPECT_TRUE(device_->Launch(stream_, {"counted", {}, std::move(run)}).ok());
    EXPECT_TRUE(device_->SynchronizeStream(stream_).ok());
    return EmulatedKernelAllocations() - before;
  }

  std::unique_ptr<DeviceBackend> device_;
  Stream stream_;
};

void* volatile sink = nullptr;

// The pointer is the caller's own: threads of the pool do this at once.
void AllocateOnce() {
  void* volatile data = ::operator new(100);
  ::operator delete(data);
}

TEST_P(KernelAllocations, AreZeroForAKernelThatComputes) {
  std::vector<float> values(100'000, 1);
  float* data = values.data();
  EXPECT_EQ(Count([data](KernelContext& context) {
              context.pool.ParallelFor(100'000, 1000, [data](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) data[i] *= 2;
              });
            }),
            0u);
  EXPECT_EQ(values[99'999], 2);
}

TEST_P(KernelAllocations, AreCountedOnTheKernelsThread) {
  EXPECT_EQ(Count([](KernelContext&) { AllocateOnce(); }), 1u);
  EXPECT_EQ(Count([](KernelContext&) {
              std::vector<int> vector(10);
              sink = vector.data();
            }),
            1u);
}

TEST_P(KernelAllocations, AreCountedOnTheThreadsOfThePool) {
  EXPECT_EQ(Count([](KernelContext& context) {
              context.pool.ParallelFor(64, 1, [](std::int64_t, std::int64_t) { AllocateOnce(); });
            }),
            64u);
}

TEST_P(KernelAllocations, DoNotCountWhatTheProgramAllocates) {
  const std::uint64_t before = EmulatedKernelAllocations();
  EXPECT_TRUE(device_->Launch(stream_, {"idle", {}, [](KernelContext&) {}}).ok());
  for (int i = 0; i < 100; ++i) AllocateOnce();
  EXPECT_TRUE(device_->SynchronizeStream(stream_).ok());
  EXPECT_EQ(EmulatedKernelAllocations(), before);
}

INSTANTIATE_TEST_SUITE_P(All, KernelAllocations,
                         testing::Values(EmulatedSchedule::kThreaded, EmulatedSchedule::kDeterministic),
                         [](const testing::TestParamInfo<EmulatedSchedule>& test) {
                           return test.param == EmulatedSchedule::kThreaded ? "Threaded" : "Deterministic";
                         });

}  // namespace
}  // namespace tierlib
