// HostWords: where kernels on a CUDA device leave word for the host, which looks without waiting for a stream: pinned
// memory that both see.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_HOST_WORDS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_HOST_WORDS_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>

#include "tierlib/status.h"

namespace tierlib::dkm::cuda {

struct HostWords {
  std::atomic<std::int64_t> first_non_finite{std::numeric_limits<std::int64_t>::max()};
  std::atomic<int> iterations_run{0};
};
static_assert(sizeof(std::atomic<std::int64_t>) == 8 && sizeof(std::atomic<int>) == 4, "kernels write plain integers");

// For kernels of the device that is the thread's current one. They go once all its work that was enqueued before has
// ended, which the last owner waits for, whatever device its thread is at. Unimplemented in a build without CUDA;
// ResourceExhausted where there is no such memory.
StatusOr<std::shared_ptr<HostWords>> MakeHostWords();

// As kernels take them.
inline std::int64_t* DeviceWord(std::atomic<std::int64_t>& word) { return reinterpret_cast<std::int64_t*>(&word); }
inline std::int32_t* DeviceWord(std::atomic<int>& word) { return reinterpret_cast<std::int32_t*>(&word); }

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_HOST_WORDS_H_
