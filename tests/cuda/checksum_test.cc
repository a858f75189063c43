// Checksums taken on a GPU against those of the host. Without a GPU only what needs none is tested; the arithmetic is
// in tests/base/crc32c_test.cc.
#include "graph/cuda/checksum.h"

#include <cstring>
#include <memory>
#include <vector>

#include "allocator/cuda/cuda_device.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "runtime/core.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kNone = ~std::uint64_t{0};

TEST(ChecksumCuda, SaysSoWhereItCannotRun) {
  if (CudaDeviceCount() > 0) GTEST_SKIP() << "there is a CUDA device";
  ChecksumWords words;
  ChecksumLaunch launch;
  launch.result = &words;
  EXPECT_FALSE(ChecksumCuda(launch, Stream{}).ok());
}

TEST(ChecksumCuda, GivesTheHostsChecksums) {
  if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  DeviceOptions options;
  options.kind = DeviceKind::kCuda;
  options.capacity = MiB(64);
  const std::unique_ptr<DeviceBackend> device = MakeCudaDevice(options).value();
  const Stream stream = device->CreateStream("test").value();
  const std::size_t piece = device->info().granularity;
  auto* const memory = static_cast<std::uint8_t*>(device->Reserve(4 * piece).value());
  alignas(4096) static std::uint8_t host[4096];
  ASSERT_TRUE(device->PinHost(host, sizeof(host)).ok());
  auto* const words = reinterpret_cast<ChecksumWords*>(host);
  Random random(3);
  std::vector<std::uint8_t> bytes(3 * piece);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.NextU32());
  const CopyRun in{memory, bytes.data(), bytes.size()};
  ASSERT_TRUE(device->Copy({&in, 1}, CopyDirection::kHostToDevice, stream).ok());
  for (int round = 0; round < 200; ++round) {
    std::vector<ChecksumRange> ranges;
    std::uint32_t expected = 0;
    const std::size_t count = round < 50 ? 1 : 1 + random.UniformInt(80);  // several launches of 32
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t most = count == 1 ? (round < 40 ? 300 : 2 * piece) : 5000;
      const std::size_t begin = random.UniformInt(piece);
      const std::size_t size = round < 40 ? static_cast<std::size_t>(round) : random.UniformInt(most);
      ranges.push_back({memory + begin, size});
      expected = Crc32cExtend(expected, bytes.data() + begin, size);
    }
    *words = {kNone, 0};
    ChecksumLaunch launch;
    launch.ranges = ranges.data();
    launch.count = ranges.size();
    launch.sum = memory + 3 * piece + 4 * static_cast<std::size_t>(round);
    launch.result = words;
    launch.none = kNone;
    for (int look = 0; look < 2; ++look) {
      ASSERT_TRUE(device->EnqueueNative([&] { return ChecksumCuda(launch, stream); }).ok());
    }
    ASSERT_TRUE(device->SynchronizeStream(stream).ok());
    ASSERT_EQ(words->value, expected) << "round " << round;
    ASSERT_EQ(words->differed, 0u);
    if (expected == 0) continue;
    words->value = expected ^ 1u;
    ASSERT_TRUE(device->EnqueueNative([&] { return ChecksumCuda(launch, stream); }).ok());
    ASSERT_TRUE(device->SynchronizeStream(stream).ok());
    ASSERT_EQ(words->differed, 1u);
  }
  ASSERT_TRUE(device->UnpinHost(host, sizeof(host)).ok());
  ASSERT_TRUE(device->Release(memory, 4 * piece).ok());
}

TEST(ChecksumCuda, FindsWhatChangedOnTheHost) {
  if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  Options options;
  options.devices[0].kind = DeviceKind::kCuda;
  options.devices[0].capacity = MiB(64);
  options.pinned_limit = options.pageable_limit = MiB(16);
  options.checksums = true;
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const Stream stream = runtime->CreateStream(0, "compute").value();
  for (const bool changed : {false, true}) {
    const Allocation made = runtime->Allocate(MiB(1), Holds::kTransient, stream, "x").value();
    ASSERT_TRUE(runtime->core()->backend(0).Fill(made.data, 7, MiB(1), stream).ok());
    const Layout whole = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(MiB(1))});
    const Saved saved = runtime->Pack({made.storage, whole}, nullptr, stream, "saved").value();
    ASSERT_TRUE(runtime->Retire(made.storage, stream).ok());
    ASSERT_TRUE(runtime->Drain().ok());
    auto* const on_host = static_cast<std::uint8_t*>(saved.value()->snapshot->host.front().buffer->data());
    if (changed) on_host[12345] ^= 1;
    const Status back = runtime->Unpack(saved, stream).status();
    EXPECT_EQ(back.code(), changed ? StatusCode::kDataLoss : StatusCode::kOk) << back;
  }
}

}  // namespace
}  // namespace tierlib
