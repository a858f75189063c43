// What a build without CUDA answers.
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/host_words.h"
#include "dkm/kernels/cuda/palette.h"
#include "dkm/kernels/cuda/tiled.h"

namespace tierlib::dkm::cuda {
namespace {

Status NoCuda() { return UnimplementedError("tierlib was built without CUDA: build with -DTIERLIB_CUDA=ON"); }

}  // namespace

StatusOr<std::shared_ptr<HostWords>> MakeHostWords() { return NoCuda(); }
Status ExactForward(const ExactForwardArguments&, Stream) { return NoCuda(); }
Status ExactReplay(const ExactReplayArguments&, Stream) { return NoCuda(); }
Status ExactBackward(const ExactBackwardArguments&, Stream) { return NoCuda(); }
Status ExactForwardBatch(std::span<const ExactForwardArguments>, void*, Stream) { return NoCuda(); }
Status ExactBackwardBatch(std::span<const ExactBackwardArguments>, void*, Stream) { return NoCuda(); }
Status TiledForward(const TiledForwardArguments<float>&, Stream) { return NoCuda(); }
Status TiledForward(const TiledForwardArguments<double>&, Stream) { return NoCuda(); }
Status TiledReplay(const TiledReplayArguments<float>&, Stream) { return NoCuda(); }
Status TiledReplay(const TiledReplayArguments<double>&, Stream) { return NoCuda(); }
Status TiledBackward(const TiledBackwardArguments<float>&, Stream) { return NoCuda(); }
Status TiledBackward(const TiledBackwardArguments<double>&, Stream) { return NoCuda(); }
Status Palettize(const PalettizeArguments<float>&, Stream) { return NoCuda(); }
Status Palettize(const PalettizeArguments<double>&, Stream) { return NoCuda(); }
Status PackIndices(const PackArguments&, Stream) { return NoCuda(); }
Status UnpackIndices(const UnpackArguments&, Stream) { return NoCuda(); }
Status UnpackWeights(const UnpackWeightsArguments&, Stream) { return NoCuda(); }
Status PackedMatvec(const MatvecArguments&, Stream) { return NoCuda(); }
Status FindNonFinite(const FindNonFiniteArguments&, Stream) { return NoCuda(); }

}  // namespace tierlib::dkm::cuda
