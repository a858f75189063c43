// UploadBuffers: small copies from host memory to a device that takes kernels of its own kind alone, without a wait.
// The caller's bytes are copied aside into pinned memory, which is used again once the copy that read it has ended.
//
// Thread-safety: Copy may be called from several threads.
#ifndef TIERLIB_SRC_AUTOGRAD_UPLOAD_BUFFERS_H_
#define TIERLIB_SRC_AUTOGRAD_UPLOAD_BUFFERS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "allocator/device_backend.h"
#include "base/mutex.h"

namespace tierlib::autograd {

class UploadBuffers {
 public:
  // REQUIRES: `device` outlives it, and `stream` its last copy.
  UploadBuffers(DeviceBackend& device, Stream stream) : device_(device), stream_(stream) {}
  // Waits for the copies.
  ~UploadBuffers();
  UploadBuffers(const UploadBuffers&) = delete;
  UploadBuffers& operator=(const UploadBuffers&) = delete;

  // Enqueues the copy on the stream; `data` may be reused on return. Waits only where all of kMostBuffers are in use.
  Status Copy(void* to, const void* data, std::size_t bytes);

  static constexpr std::size_t kMostBuffers = 32;
  std::size_t buffers() const;

 private:
  struct Buffer {
    std::byte* memory = nullptr;
    std::size_t bytes = 0;
    bool in_slab = false;  // otherwise memory of its own
    EventId copied = 0;
  };

  // One whose copy has ended, of at least `bytes`, or a new one; the oldest where there are too many.
  StatusOr<Buffer> Take(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<Buffer> Make(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::byte*> Pin(std::size_t bytes);
  void Unpin(std::byte* memory, std::size_t bytes);
  void Destroy(const Buffer& buffer);

  DeviceBackend& device_;
  const Stream stream_;
  mutable Mutex mutex_;
  std::vector<Buffer> used_ ABSL_GUARDED_BY(mutex_);  // the oldest copy first
  // The first buffers are cut from memory that is pinned at once: pinning may wait for the device.
  std::byte* slab_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::size_t cut_ ABSL_GUARDED_BY(mutex_) = 0;  // buffers
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_UPLOAD_BUFFERS_H_
