// The dense forms of DKM, composed of autograd ops: N x k maps stand in memory and are saved for backward. They exist
// to be compared with: training uses the tiled form.
#ifndef TIERLIB_SRC_DKM_DENSE_CHAIN_H_
#define TIERLIB_SRC_DKM_DENSE_CHAIN_H_

#include <algorithm>

#include "dkm/shard.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {

struct ChainOptions {
  double tau = 1;
  int iterations = 3;
  Metric metric = Metric::kSquared;
  Attention attention = Attention::kLast;
  // Attention is raised to it; 0: none. The paper's chain has PaperFloor of it.
  double attention_floor = 0;
  // [1, k] of the dtype of w, added to the distances; undefined: none. Not differentiated.
  autograd::Tensor distance_bias;
  bool contiguous_transpose = false;  // copy A's transpose before multiplying by it, as some programs do
  // How what the chain saves is kept (map_codec.h): results do not depend on it. Marshaling is the runtime's mode.
  bool uniquify = false;  // maps as tables of their distinct rows, where w has 16-bit values and d is 1
  // Each learner keeps its share of what is large. REQUIRES: all of them run the same chain, on different devices, and
  // its backward; one whose pass failed must abort or leave before it tries again (communicator.h).
  Sharding sharding;
};

struct ChainResult {
  autograd::Value output;     // W~ [N, d]
  autograd::Value attended;   // [k, d]: the centroids that the attention of W~ was taken against
  autograd::Value centroids;  // C_T [k, d]
};

// w [N, d] and the start c [k, d], k up to 256, of one dtype: f32, f64 or bf16 (sums over N leave the range of f16).
// Formulas as kernels/tiled.h; every op rounds its result to the dtype. Undefined where the tape failed.
//
// kReference, per iteration: difference, square, [sum over d, where d > 1], [root, for the Euclidean metric], scale,
// softmax, [clamp, where there is an attention_floor], A' w / sum A. For d = 1, the squared metric and T iterations
// naively saved: 3T + 1 maps (T differences, T attentions, T transposes, and the attention of the output) and T copies
// of W; with storage identity 2T maps and one W.
ChainResult ReferenceChain(const autograd::Value& w, const autograd::Value& c, const ChainOptions& options);

// The chain of eDKM's Table 2, per iteration: distance, square (not for the Euclidean metric), scale, softmax, clamp at
// 1e-7, A' w / sum A. Naively saved 5T + 1 maps and 2T copies of W; with storage identity 3T maps; with the clamp
// replayed 2T, and one W.
ChainResult PaperChain(const autograd::Value& w, const autograd::Value& c, const ChainOptions& options);
inline double PaperFloor(double attention_floor) { return std::max(attention_floor, 1e-7); }

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_DENSE_CHAIN_H_
