// Device memory for tests of kernels: a stream, and memory that is taken block by block and given back with it. Each
// block is the driver's own (cudaMallocAsync), so that compute-sanitizer knows where it ends.
#ifndef TIERLIB_TESTS_CUDA_GPU_MEMORY_H_
#define TIERLIB_TESTS_CUDA_GPU_MEMORY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "allocator/cuda/cuda_device.h"
#include "tierlib/bytes.h"

namespace tierlib {

// REQUIRES: there is a CUDA device.
class GpuMemory {
 public:
  explicit GpuMemory(std::uint64_t capacity) {
    DeviceOptions options;
    options.kind = DeviceKind::kCuda;
    options.capacity = capacity;
    options.backing = DeviceBacking::kMallocAsync;
    device_ = MakeCudaDevice(options).value();
    stream_ = device_->CreateStream("test").value();
  }
  ~GpuMemory() {
    for (void* block : blocks_) EXPECT_TRUE(device_->FreeInOrder(block, stream_).ok());
    EXPECT_TRUE(device_->DestroyStream(stream_).ok());
  }

  Stream stream() const { return stream_; }

  // `bytes` bytes, `shift` bytes behind a multiple of 256, full of 0xA5.
  void* Take(std::size_t bytes, std::size_t shift = 0) {
    blocks_.push_back(device_->AllocateInOrder(std::max<std::size_t>(bytes + shift, 1), stream_).value());
    std::byte* const at = static_cast<std::byte*>(blocks_.back()) + shift;
    EXPECT_TRUE(device_->Fill(at, 0xA5, bytes, stream_).ok());
    return at;
  }
  template <typename T>
  T* Put(const std::vector<T>& values, std::size_t shift = 0) {
    const std::size_t bytes = values.size() * sizeof(T);
    void* const at = Take(bytes, shift);
    const CopyRun run{at, const_cast<T*>(values.data()), bytes};
    EXPECT_TRUE(device_->Copy({&run, 1}, CopyDirection::kHostToDevice, stream_).ok());
    EXPECT_TRUE(device_->SynchronizeStream(stream_).ok());
    return static_cast<T*>(at);
  }
  template <typename T>
  std::vector<T> Get(const void* from, std::size_t count) {
    std::vector<T> values(count);
    const CopyRun run{values.data(), const_cast<void*>(from), count * sizeof(T)};
    EXPECT_TRUE(device_->Copy({&run, 1}, CopyDirection::kDeviceToHost, stream_).ok());
    EXPECT_TRUE(device_->SynchronizeStream(stream_).ok());
    return values;
  }
  // Calls `launch` with the device as the thread's current one, and expects OK.
  void Launch(const std::function<Status()>& launch) {
    const Status status = device_->EnqueueNative([&] { return launch(); });
    EXPECT_TRUE(status.ok()) << status;
  }
  void Synchronize() { EXPECT_TRUE(device_->SynchronizeStream(stream_).ok()); }

 private:
  std::unique_ptr<DeviceBackend> device_;
  Stream stream_;
  std::vector<void*> blocks_;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_CUDA_GPU_MEMORY_H_
