#include "dkm/dense_chain.h"

#include "autograd/saved_codec.h"
#include "dkm/dense_output.h"
#include "dkm/kernels/tiled.h"
#include "dkm/map_codec.h"
#include "dkm/pair_distance.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {
namespace {

using autograd::Value;

// f(w_i, c_j) [N, k].
Value ReferenceDistance(const Value& w, const Value& c, Metric metric) {
  Value distance;
  if (w.sizes()[1] == 1) {
    distance = Square(Sub(w, Transpose(c)));
  } else {
    distance = SumDim(Square(Sub(Unsqueeze(w, 1), Unsqueeze(c, 0))), 2, /*keep=*/false);
  }
  return metric == Metric::kEuclidean ? Sqrt(distance) : distance;
}

Value PaperDistance(const Value& w, const Value& c, Metric metric) {
  const Value distance = PairDistance(w, c);
  return metric == Metric::kEuclidean ? distance : Square(distance);
}

// (A' w + phi c) / (sum A + phi): kernels/tiled.h says what phi does.
Value NewCentroids(const Value& attention, const Value& w, const Value& c, bool contiguous_transpose) {
  Value transposed = Transpose(attention);
  Value mass = Unsqueeze(SumDim(attention, 0, /*keep=*/false), 1);
  if (contiguous_transpose) {
    transposed = Contiguous(transposed);
    mass = SumDim(transposed, 1, /*keep=*/true);
  }
  const Value moment = Add(MatMul(transposed, w), MulScalar(c, host::kMassFloor));
  return Div(moment, AddScalar(mass, host::kMassFloor));
}

using DistanceFunction = Value (*)(const Value&, const Value&, Metric);

// `floor` 0: attention is not clamped.
ChainResult Chain(const Value& w, const Value& start, const ChainOptions& options, DistanceFunction distance,
                  double floor) {
  const auto attend = [&](const Value& c) {
    Value distances = distance(w, c, options.metric);
    if (options.distance_bias.defined()) distances = Add(distances, w.tape()->Constant(options.distance_bias));
    const Value attention = Softmax(MulScalar(distances, -1 / options.tau), 1);
    return floor > 0 ? Clamp(attention, floor, 1) : attention;
  };
  MapCodec codec(w.tape()->context(), w.tensor(), options.uniquify, options.sharding);
  const bool keeps = options.uniquify || options.sharding.learners != nullptr;
  const autograd::SavedCodecScope keep_by(*w.tape(), keeps ? &codec : nullptr);
  Value c = start;
  Value attention, attended;
  for (int t = 0; t < options.iterations && c.defined(); ++t) {
    attended = c;
    attention = attend(c);
    c = NewCentroids(attention, w, c, options.contiguous_transpose);
  }
  if (!c.defined()) return {};
  if (options.attention == Attention::kRecomputed) {
    attended = c;
    attention = attend(c);
  }
  return {DenseOutput(attention, c), attended, c};
}

}  // namespace

ChainResult ReferenceChain(const Value& w, const Value& c, const ChainOptions& options) {
  if (!w.defined() || !c.defined()) return {};
  return Chain(w, c, options, ReferenceDistance, options.attention_floor);
}

ChainResult PaperChain(const Value& w, const Value& c, const ChainOptions& options) {
  if (!w.defined() || !c.defined()) return {};
  return Chain(w, c, options, PaperDistance, PaperFloor(options.attention_floor));
}

}  // namespace tierlib::dkm
