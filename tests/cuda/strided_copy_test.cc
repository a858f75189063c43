// The strided copy on a GPU against its plain reference. Without a GPU only what needs none is tested.
#include "graph/cuda/strided_copy.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "allocator/cuda/cuda_device.h"
#include "gtest/gtest.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

// A transpose of the outer two dimensions of [5, 7, 3] into row-major order.
StridedCopy Transpose(int element_bytes) {
  StridedCopy copy;
  copy.rank = 3;
  copy.element_bytes = element_bytes;
  const std::int64_t sizes[] = {7, 5, 3};
  const std::int64_t to[] = {15, 3, 1};
  const std::int64_t from[] = {3, 21, 1};
  for (int k = 0; k < 3; ++k) {
    copy.sizes[k] = sizes[k];
    copy.destination_strides[k] = to[k];
    copy.source_strides[k] = from[k];
  }
  return copy;
}

std::vector<std::uint8_t> Reference(const StridedCopy& copy, const std::vector<std::uint8_t>& source) {
  std::vector<std::uint8_t> destination(source.size());
  for (std::int64_t i = 0; i < copy.sizes[0]; ++i) {
    for (std::int64_t j = 0; j < copy.sizes[1]; ++j) {
      for (std::int64_t k = 0; k < copy.sizes[2]; ++k) {
        const std::int64_t to =
            i * copy.destination_strides[0] + j * copy.destination_strides[1] + k * copy.destination_strides[2];
        const std::int64_t from = i * copy.source_strides[0] + j * copy.source_strides[1] + k * copy.source_strides[2];
        std::memcpy(destination.data() + to * copy.element_bytes, source.data() + from * copy.element_bytes,
                    static_cast<std::size_t>(copy.element_bytes));
      }
    }
  }
  return destination;
}

TEST(StridedCopyCuda, SaysSoWhereItCannotRun) {
  StridedCopy copy = Transpose(4);
  copy.element_bytes = 3;
  const StatusCode code = StridedCopyCuda(copy, Stream{}).code();
  EXPECT_TRUE(code == StatusCode::kInvalidArgument || code == StatusCode::kUnimplemented);
}

TEST(StridedCopyCuda, MovesTheSameElementsAsItsReference) {
  if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  DeviceOptions options;
  options.kind = DeviceKind::kCuda;
  options.capacity = MiB(64);
  const std::unique_ptr<DeviceBackend> device = MakeCudaDevice(options).value();
  const Stream stream = device->CreateStream("test").value();
  const std::size_t piece = device->info().granularity;
  std::uint8_t* memory = static_cast<std::uint8_t*>(device->Reserve(piece).value());
  for (const int element_bytes : {1, 2, 4, 8}) {
    StridedCopy copy = Transpose(element_bytes);
    std::vector<std::uint8_t> source(static_cast<std::size_t>(105 * element_bytes));
    std::iota(source.begin(), source.end(), std::uint8_t{3});
    std::vector<std::uint8_t> result(source.size());
    copy.source = memory;
    copy.destination = memory + 4096;
    const CopyRun in{memory, source.data(), source.size()};
    const CopyRun out{result.data(), memory + 4096, result.size()};
    ASSERT_TRUE(device->Copy({in}, CopyDirection::kHostToDevice, stream).ok());
    ASSERT_TRUE(StridedCopyCuda(copy, stream).ok());
    ASSERT_TRUE(device->Copy({out}, CopyDirection::kDeviceToHost, stream).ok());
    ASSERT_TRUE(device->SynchronizeStream(stream).ok());
    EXPECT_EQ(result, Reference(copy, source)) << element_bytes << " bytes an element";
  }
  EXPECT_TRUE(device->Release(memory, piece).ok());
  EXPECT_TRUE(device->DestroyStream(stream).ok());
}

}  // namespace
}  // namespace tierlib
