// A device with a pool on it, as the tests of pools use them.
#ifndef TIERLIB_TESTS_ALLOCATOR_POOL_UNDER_TEST_H_
#define TIERLIB_TESTS_ALLOCATOR_POOL_UNDER_TEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"

namespace tierlib {

struct PoolUnderTest {
  PoolUnderTest() = default;
  PoolUnderTest(PoolUnderTest&&) = default;
  ~PoolUnderTest() {
    if (device != nullptr) (void)device->Synchronize();  // as the pool's destructor requires
  }

  std::unique_ptr<DeviceBackend> device;
  std::unique_ptr<BlockPool> pool;  // after the device, so that it goes first
  std::byte* base = nullptr;
  std::vector<Stream> streams;

  std::size_t OffsetOf(const void* block) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - base);
  }
};

inline PoolUnderTest MakePoolUnderTest(std::uint64_t capacity, EmulatedOptions emulated, int streams,
                                       trace::Recorder* recorder = nullptr, std::size_t spare_bytes = 0) {
  PoolUnderTest test;
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated = emulated;
  test.device = MakeDevice(options).value();
  for (int i = 0; i < streams; ++i) {
    test.streams.push_back(test.device->CreateStream("stream " + std::to_string(i)).value());
  }
  test.pool = std::make_unique<BlockPool>(BlockPool::Options{.source = MakeDeviceSource(*test.device).value(),
                                                             .device = test.device.get(),
                                                             .spare_bytes = spare_bytes,
                                                             .recorder = recorder});
  // The first block lies at the base.
  const StatusOr<void*> first = test.pool->Allocate(1, test.streams.front());
  if (first.ok()) {
    test.base = static_cast<std::byte*>(*first);
    test.pool->Free(*first, {test.streams.front()});
  }
  return test;
}

inline EmulatedOptions ShapeOnly() { return {.schedule = EmulatedSchedule::kShapeOnly, .kernel_threads = 1}; }

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_POOL_UNDER_TEST_H_
