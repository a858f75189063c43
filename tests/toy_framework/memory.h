// Memory: the toy framework's caching device allocator, over one range that it reserves from the device for itself.
// Blocks are handed out again at once; a stream that gets one waits for the streams that used it before.
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_TESTS_TOY_FRAMEWORK_MEMORY_H_
#define TIERLIB_TESTS_TOY_FRAMEWORK_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "allocator/device_backend.h"
#include "tierlib/stream.h"

namespace toy {

class Memory {
 public:
  // REQUIRES: nobody else reserved memory of the device yet, and the device outlives the allocator.
  Memory(tierlib::DeviceBackend& device, std::size_t bytes);
  ~Memory();

  // For work on `stream` from now on; nullptr where no hole holds it.
  void* Take(std::size_t bytes, tierlib::Stream stream);
  // For use again after the work enqueued so far on `streams`. Aborts on a block that is not taken.
  void Give(void* data, const std::vector<tierlib::Stream>& streams);

  std::size_t live() const;
  std::size_t peak() const;

 private:
  struct Hole {
    std::size_t bytes = 0;
    std::vector<tierlib::EventId> ready;  // when it may be touched
  };

  tierlib::EventId TakeEvent();

  tierlib::DeviceBackend& device_;
  std::uint8_t* base_ = nullptr;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::size_t> taken_;  // offset to bytes
  std::map<std::size_t, Hole> holes_;         // by offset
  std::vector<tierlib::EventId> spare_;       // events
  std::size_t live_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace toy

#endif  // TIERLIB_TESTS_TOY_FRAMEWORK_MEMORY_H_
