// The communicator over NCCL on a GPU: the sums of its own kernel, and a group of one where NCCL is. Skipped, with that
// reason, where there is no GPU.
#include <cstring>
#include <string>

#include "base/random.h"
#include "comm/nccl_device.h"
#include "comm/reduce.h"
#include "cuda/gpu_memory.h"
#include "gtest/gtest.h"
#include "tierlib/comm/nccl_group.h"

namespace tierlib::comm {
namespace {

class CudaNccl : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
    gpu_ = std::make_unique<GpuMemory>(MiB(64));
  }
  std::unique_ptr<GpuMemory> gpu_;
};

template <typename T>
void CompareSums(GpuMemory& gpu, NcclDevice& device, DType dtype) {
  constexpr std::size_t kCount = 10'001, kLearners = 5, kApart = 128'000 / sizeof(T);
  Random random(7);
  std::vector<T> all(kLearners * kApart);
  for (T& value : all) value = static_cast<T>(1e6 * random.Normal());
  std::vector<const void*> inputs;
  for (std::size_t i = 0; i < kLearners; ++i) inputs.push_back(all.data() + i * kApart);
  const T* const there = gpu.Put(all);
  for (const Reduction reduction : {Reduction::kSum, Reduction::kMin, Reduction::kMax}) {
    std::vector<T> truth(kCount);
    ReduceInOrder(inputs, 0, kCount, dtype, reduction, truth.data());
    void* const out = gpu.Take(kCount * sizeof(T));
    gpu.Synchronize();
    const Status status =
        device.With([&] { return device.Reduce(there, kLearners, kApart * sizeof(T), kCount, dtype, reduction, out); });
    EXPECT_TRUE(status.ok()) << status;
    while (!device.Done().value()) {
    }
    const std::vector<T> sums = gpu.Get<T>(out, kCount);
    EXPECT_EQ(std::memcmp(sums.data(), truth.data(), kCount * sizeof(T)), 0) << DTypeName(dtype);
  }
}

TEST_F(CudaNccl, SumsInTheOrderOfRanksToTheBit) {
  const auto device = MakeCudaNcclDevice(0, 0).value();
  CompareSums<float>(*gpu_, *device, DType::kF32);
  CompareSums<double>(*gpu_, *device, DType::kF64);
  CompareSums<std::int32_t>(*gpu_, *device, DType::kI32);
  CompareSums<std::int64_t>(*gpu_, *device, DType::kI64);
}

TEST_F(CudaNccl, AGroupOfOneWorksWhereNcclIs) {
  StatusOr<std::unique_ptr<Communicator>> made = MakeNcclCommunicator({});
  if (!made.ok()) {
    EXPECT_EQ(made.status().code(), StatusCode::kUnimplemented) << made.status();
    EXPECT_NE(std::string(made.status().message()).find("libnccl.so.2"), std::string::npos) << made.status();
    return;
  }
  Communicator& me = **made;
  const std::vector<float> values = {1, 2, 3};
  float* const there = gpu_->Put(values);
  EXPECT_TRUE(me.AllReduce(there, there, 3, DType::kF32, Reduction::kSum).ok());
  EXPECT_TRUE(me.Broadcast(there, 12, 0).ok());
  EXPECT_TRUE(me.AllGather(there, {12}, there).ok());
  EXPECT_TRUE(me.Barrier().ok());
  EXPECT_EQ(gpu_->Get<float>(there, 3), values);
}

}  // namespace
}  // namespace tierlib::comm
