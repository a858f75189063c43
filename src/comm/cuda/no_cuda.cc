// What a build without CUDA answers.
#include "comm/nccl_device.h"

namespace tierlib::comm {

StatusOr<std::unique_ptr<NcclDevice>> MakeCudaNcclDevice(int, std::uintptr_t) {
  return UnimplementedError("tierlib was built without CUDA: build with -DTIERLIB_CUDA=ON");
}

}  // namespace tierlib::comm
