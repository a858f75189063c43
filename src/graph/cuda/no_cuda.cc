// What a build without CUDA answers.
#include "graph/cuda/checksum.h"
#include "graph/cuda/strided_copy.h"

namespace tierlib {

Status StridedCopyCuda(const StridedCopy&, Stream) {
  return UnimplementedError("tierlib was built without CUDA: build with -DTIERLIB_CUDA=ON");
}

Status ChecksumCuda(const ChecksumLaunch&, Stream) {
  return UnimplementedError("tierlib was built without CUDA: build with -DTIERLIB_CUDA=ON");
}

}  // namespace tierlib
