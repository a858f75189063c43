// Differentiable weight clustering: DKM (arXiv 2108.12659) as eDKM (arXiv 2309.00964) uses it. docs/design.md has the
// formulas.
#ifndef TIERLIB_DKM_CLUSTERING_H_
#define TIERLIB_DKM_CLUSTERING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tierlib/autograd/tape.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::comm {
class Communicator;
}  // namespace tierlib::comm

namespace tierlib::dkm {

enum class Metric : std::uint8_t { kSquared, kEuclidean };
enum class Attention : std::uint8_t {
  kLast,        // W~ = A_T C_T with the attention of the last iteration (coremltools' and the paper's)
  kRecomputed,  // A computed again against C_T
};
enum class Form : std::uint8_t {
  kAuto,       // exact where it can be and a group has 16,384 values at least, otherwise tiled
  kReference,  // dense chain of autograd ops, no clamp
  kPaper,      // distance, square, softmax, clamp, two products: the chain of the paper's Table 2
  kTiled,      // never stores an N x k map
  kExact,      // d = 1, 16-bit values: all iterations run on the distinct values, of which there are 65,536 at most
};

enum class Start : std::uint8_t {
  kPlusPlus,  // k-means++, then Lloyd iterations on at most 65,536 of the vectors, evenly spread
  // d = 1: the k-means optimum, without random numbers. Of all weights where they have 16 bits (round_to counts); f32
  // weights are taken as at most 65,536 cells that agree in their leading bits, f64 ones as in kPlusPlus.
  kExact,
};

// What each output channel (row) is divided by before it is clustered, and what comes out is multiplied by. Found from
// the weight at the start and constant from then on; 1 where it would be 0.
enum class ChannelScale : std::uint8_t {
  kNone,
  kAbs,     // the largest magnitude of the row
  kMinMax,  // half of what lies between its smallest and largest value
};

struct Options {
  int bits = 3;         // k = 2^bits clusters, 1..8
  int cluster_dim = 1;  // d: weights are seen as N/d vectors
  // Softmax temperature, in the unit of the metric. 0: from the variance of the weight's values at the start, 0.01
  // times it for kSquared, 0.1 times its root for kEuclidean.
  double tau = 0;
  int iterations = 3;  // T, 1 to 65,536 (coremltools: kmeans_max_iter)
  // Above 0, iterations end before T once none moves a centroid further than this, max_j ||c_j' - c_j|| <= epsilon, in
  // the unit of the weights. A kernel decides, by values alone: nobody waits, and learners with the same weights and
  // form decide alike. Backward goes through the iterations that ran. Not for dense forms. (coremltools' palett_epsilon
  // bounds the change of the sum of distances instead.)
  double epsilon = 0;
  Metric metric = Metric::kSquared;
  Attention attention = Attention::kLast;
  Form form = Form::kAuto;
  // kBF16 or kF16: f32 weights are clustered as if they were of that dtype. The rounding is part of the operator, and
  // straight-through: W~, its gradient and that of the weight stay f32, and none of them is rounded. This is how f32
  // weights get the exact form.
  std::optional<DType> round_to;
  Start start = Start::kPlusPlus;
  std::uint64_t seed = 1;  // of k-means++; group g has seed + g
  // What Palettize rounds centroids to before it assigns weights to them (coremltools: lut_dtype): f32, f16, bf16, or
  // i8 with one scale a group, f32, that takes the largest magnitude to 127. Beyond a type's range: its largest value.
  DType table = DType::kF32;
  // Of synchronous data-parallel learners, which hold equal weights and make the same calls in the same order, backward
  // passes included. Each then keeps its share of what a dense form saves for backward, and backward gathers the rest:
  // results do not depend on it. Other forms save too little to share. Outlives the clustering and its tapes; null:
  // nothing is shared.
  comm::Communicator* learners = nullptr;
  // Output channels (rows of the first dimension) that share centroids; the last group may have fewer. 0: all. A weight
  // of fewer than two dimensions is one row. (coremltools: group_size.)
  std::int64_t group_rows = 0;
  // The gradient passes through both as through a product with a constant. tau, epsilon and prune_threshold are then
  // in units of the quotient, which is f32 (f64 of f64 weights, the weight's type in dense forms): the exact form
  // needs round_to, which rounds it. (coremltools: enable_per_channel_scale, per_channel_scaling_factor_scheme.)
  ChannelScale per_channel_scale = ChannelScale::kNone;
  // Attention below it counts as it, so that a weight's attention adds up to more than 1. 0: none, but the paper's form
  // has 1e-7 always. For results that compare with coremltools', whose zero_threshold is 1e-7.
  double attention_floor = 0;
  // What every distance to centroid 0 is lowered by, also where Palettize assigns: weights near it fall to it. At the
  // start it is the lowest. For results that compare with coremltools', whose default is 1e-7.
  double prune_threshold = 0;
  // Dense forms keep maps as tables of their distinct rows (U of eDKM) where the values have 16 bits, and d is 1.
  // Results do not depend on it.
  bool uniquify = false;
};

// The clustering of one weight. Its state, the centroids, belongs to the weight: Apply starts from the centroids of the
// optimizer step before (k-means at first), and Advance, called once per optimizer step, makes the newest ones the
// start of the next, however often Apply ran in between (recompute, accumulation).
//
// Thread-safety: one thread at a time.
class Clustering {
 public:
  Clustering(std::string name, Options options);
  ~Clustering();
  Clustering(Clustering&&) noexcept;
  Clustering& operator=(Clustering&&) noexcept;

  // W~ with the sizes of `weight`, differentiable through all iterations. Fails the tape where an option cannot hold,
  // the weight has NaN or Inf (naming the tensor and the first position), a group with fewer vectors than clusters, or
  // of a size that d does not divide, or not as many groups as there are centroids for. The first call, and the first
  // after Restore, waits for the device and looks at the weight on the host, where a start takes k-means. Later calls
  // do not wait: a kernel looks for NaN and Inf, the stream goes on, and every call after it that asks (Apply,
  // Palettize, Centroids) returns the error, until Restore. An Apply that fails leaves the centroids alone. Dense forms
  // do not take f16.
  autograd::Value Apply(autograd::Tape& tape, const autograd::Value& weight);

  // Every vector of weights replaced by the nearest (ties: the lowest index) of the centroids that T iterations on this
  // weight lead to from the start, as options.table has them: what inference uses. Not differentiable; leaves the state
  // alone but for making a start where there is none. Errors as Apply.
  StatusOr<autograd::Tensor> Palettize(autograd::Context& context, const autograd::Tensor& weight);

  // See the class comment.
  void Advance();

  const Options& options() const;
  // The one that Apply uses: never kAuto. What that chooses depends on the weight: kTiled before the first.
  Form form() const;
  double tau() const;  // the one in use; 0 before the first Apply
  // Of the Apply or Palettize whose kernel ran last, the most of any group; 0 before the first. Does not wait for those
  // that are to run.
  int IterationsRun() const;
  std::int64_t clusters() const;
  // Index and table bits per weight, with the scales of tables of i8 and of output channels; of a weight of these
  // sizes, or of one row.
  double BitsPerWeight(const Dims& sizes) const;
  double BitsPerWeight(std::int64_t weights) const;

  // For checkpoints: the k * d float32 centroids of each group that the next Apply starts from (so: after Advance), and
  // the scale of each output channel where the options have such; empty before the first. Block. Restoring them with
  // tau() gives the same bits as not stopping, and forgets that a weight was not finite. The context outlives this
  // object.
  StatusOr<std::vector<float>> Centroids() const;
  StatusOr<std::vector<float>> ChannelScales() const;
  Status Restore(autograd::Context& context, const std::vector<float>& centroids, double tau,
                 const std::vector<float>& channel_scales = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_DKM_CLUSTERING_H_
