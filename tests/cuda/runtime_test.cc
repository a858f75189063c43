// The verbs on a CUDA device, through the kernels that a Runtime launches there: values made again by a strided copy,
// and naive copies of strided views. Skipped, with that reason, where there is no GPU.
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <tuple>
#include <vector>

#include "allocator/cuda/cuda_device.h"
#include "graph/data_movement.h"
#include "gtest/gtest.h"
#include "runtime/core.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

constexpr std::int64_t kRows = 48, kColumns = 80;
constexpr std::uint64_t kBytes = kRows * kColumns * 4;

Layout Rows() { return Layout::Contiguous(DType::kF32, {kRows, kColumns}); }
Layout Transposed() { return {DType::kF32, {kColumns, kRows}, {1, kColumns}, 0}; }

class RuntimeOnCuda : public ::testing::TestWithParam<std::tuple<OffloadMode, DeviceBacking>> {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
    Options options;
    options.devices[0].kind = DeviceKind::kCuda;
    options.devices[0].capacity = MiB(64);
    options.pinned_limit = options.pageable_limit = MiB(16);
    options.mode = std::get<OffloadMode>(GetParam());
    options.devices[0].backing = std::get<DeviceBacking>(GetParam());
    runtime_ = Runtime::Create(options).value();
    stream_ = runtime_->CreateStream(0, "compute").value();
  }

  static OffloadMode mode() { return std::get<OffloadMode>(GetParam()); }
  DeviceBackend& device() { return runtime_->core()->backend(0); }
  Allocation Allocate() { return runtime_->Allocate(kBytes, Holds::kTransient, stream_, "x").value(); }
  Saved Pack(StorageId id, const Layout& layout) {
    return runtime_->Pack({id, layout}, nullptr, stream_, "saved").value();
  }
  // The storage's bytes, as the loaded value shows them.
  std::vector<float> Read(const Saved& saved) {
    const Loaded loaded = runtime_->Unpack(saved, stream_).value();
    std::vector<float> bytes(kRows * kColumns);
    const CopyRun out{bytes.data(), loaded.origin(), kBytes};
    EXPECT_TRUE(device().Copy({&out, 1}, CopyDirection::kDeviceToHost, stream_).ok());
    EXPECT_TRUE(runtime_->Synchronize(stream_).ok());
    return bytes;
  }

  std::unique_ptr<Runtime> runtime_;
  Stream stream_;
};

TEST_P(RuntimeOnCuda, AMatrixItsTransposeAndACopyOfThatComeBack) {
  std::vector<float> matrix(kRows * kColumns), transpose(kRows * kColumns);
  std::iota(matrix.begin(), matrix.end(), 1.0f);
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kColumns; ++j) transpose[j * kRows + i] = matrix[i * kColumns + j];
  }
  const Allocation x = Allocate();
  const Allocation y = Allocate();  // the transpose of x in row-major order
  const CopyRun in{x.data, matrix.data(), kBytes};
  ASSERT_TRUE(device().Copy({&in, 1}, CopyDirection::kHostToDevice, stream_).ok());
  const Layout copied = Layout::Contiguous(DType::kF32, {kColumns, kRows});
  ASSERT_TRUE(LaunchStridedCopy(device(), stream_, y.data, copied, x.data, Transposed()).ok());
  ASSERT_TRUE(runtime_->Derive({y.storage, copied}, {x.storage, Transposed()}, Replay::Copy()).ok());
  const Saved rows = Pack(x.storage, Rows());
  const Saved columns = Pack(x.storage, Transposed());
  const Saved copy = Pack(y.storage, copied);
  ASSERT_TRUE(runtime_->Retire(x.storage, stream_).ok());
  ASSERT_TRUE(runtime_->Retire(y.storage, stream_).ok());
  EXPECT_EQ(Read(copy), transpose);
  EXPECT_EQ(Read(columns), matrix);
  EXPECT_EQ(Read(rows), matrix);
  EXPECT_EQ(runtime_->statistics().total.avoided_lineage, mode() == OffloadMode::kMarshal ? kBytes : 0);
  EXPECT_TRUE(runtime_->health().ok()) << runtime_->health();
  const TierStatistics tier = runtime_->statistics().device;
  EXPECT_EQ(tier.reserved, tier.live + tier.waste + tier.cached + tier.pending);
}

// Blocks go back and come again on two streams, far more of them than the device's capacity holds at once.
TEST_P(RuntimeOnCuda, MemoryIsUsedAgainInStreamOrder) {
  const Stream other = runtime_->CreateStream(0, "other").value();
  constexpr std::uint64_t kLarge = MiB(24);
  for (int i = 0; i < 40; ++i) {
    const Stream stream = i % 2 == 0 ? stream_ : other;
    const Allocation x = runtime_->Allocate(kLarge, Holds::kTransient, stream, "x").value();
    ASSERT_TRUE(device().Fill(x.data, static_cast<std::uint8_t>(i), kLarge, stream).ok());
    std::vector<std::uint8_t> end(64);
    const CopyRun out{end.data(), static_cast<std::uint8_t*>(x.data) + kLarge - end.size(), end.size()};
    ASSERT_TRUE(device().Copy({&out, 1}, CopyDirection::kDeviceToHost, stream).ok());
    ASSERT_TRUE(runtime_->Retire(x.storage, stream).ok());
    ASSERT_TRUE(runtime_->Synchronize(stream).ok());
    EXPECT_EQ(end, std::vector<std::uint8_t>(64, static_cast<std::uint8_t>(i)));
  }
  EXPECT_EQ(runtime_->Allocate(MiB(80), Holds::kTransient, stream_, "y").status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(runtime_->statistics().device.live, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, RuntimeOnCuda,
                         ::testing::Combine(::testing::Values(OffloadMode::kNaive, OffloadMode::kMarshal),
                                            ::testing::Values(DeviceBacking::kVirtualMemory, DeviceBacking::kMalloc,
                                                              DeviceBacking::kMallocAsync)));

}  // namespace
}  // namespace tierlib
