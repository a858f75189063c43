// The ops of tierlib's autograd. Each lives in one file of src/autograd/ops/, forward and backward side by side, and
// says there what it saves for backward.
//
// Sizes are in elements; dimensions count from 0, negative ones from the end. Compute is float32 for f32, bf16 and f16
// and float64 for f64; results have the dtype of the first argument. Results do not depend on the number of threads.
// Wrong shapes or dtypes fail the tape (see tape.h) with a message that names the op and the sizes.
#ifndef TIERLIB_AUTOGRAD_OPS_H_
#define TIERLIB_AUTOGRAD_OPS_H_

#include <cstdint>
#include <vector>

#include "tierlib/autograd/tape.h"

namespace tierlib::autograd {

// --- Views: alias the storage, move no byte -------------------------------------------------------------------------
Value Reshape(const Value& x, Dims sizes);  // one size may be -1; copies where no view exists
Value Transpose(const Value& x, int dim0 = -2, int dim1 = -1);
Value Permute(const Value& x, std::vector<int> dims);
Value Slice(const Value& x, int dim, std::int64_t begin, std::int64_t end, std::int64_t step = 1);
std::vector<Value> Split(const Value& x, int parts, int dim);  // equal parts; backward writes them side by side
Value Expand(const Value& x, Dims sizes);  // size-1 dimensions repeat with stride 0; -1 keeps the size that x has
Value Squeeze(const Value& x, int dim);
Value Unsqueeze(const Value& x, int dim);
Value Contiguous(const Value& x);  // x itself where it is row-major, otherwise a copy
Value Clone(const Value& x);
Value Cast(const Value& x, DType dtype);

// --- Elementwise, with broadcasting ---------------------------------------------------------------------------------
Value Add(const Value& a, const Value& b);
Value Sub(const Value& a, const Value& b);
Value Mul(const Value& a, const Value& b);
Value Div(const Value& a, const Value& b);
Value AddScalar(const Value& x, double c);
Value MulScalar(const Value& x, double c);
Value Square(const Value& x);
Value Sqrt(const Value& x);  // the gradient at 0 is 0
Value Exp(const Value& x);
Value Log(const Value& x);
Value Gelu(const Value& x);  // exact: x Phi(x)
Value Silu(const Value& x);
Value Clamp(const Value& x, double low, double high);
Value MaskedFill(const Value& x, const Tensor& mask, double fill);                   // mask: bool, broadcasts to x
Value Dropout(const Value& x, double p, std::uint64_t seed, std::uint64_t counter);  // replayed from (seed, counter)

// --- Reductions -----------------------------------------------------------------------------------------------------
Value Sum(const Value& x);  // of all elements: rank 0
Value SumDim(const Value& x, int dim, bool keep);
Value Mean(const Value& x);

// --- Products and layers --------------------------------------------------------------------------------------------
Value MatMul(const Value& a, const Value& b);                // [.., m, k] x [.., k, n]; leading dimensions broadcast
Value Linear(const Value& x, const Value& w);                // x [.., in] times the transpose of w [out, in]
Value Embedding(const Value& table, const Tensor& indices);  // table [V, C], indices i32 of any sizes
// Over the last dimension; the bias may be undefined.
Value LayerNorm(const Value& x, const Value& weight, const Value& bias, double epsilon);
// x / sqrt(mean of x^2 + epsilon) * weight, over the last dimension; weight: [its size].
Value RmsNorm(const Value& x, const Value& weight, double epsilon);
Value Softmax(const Value& x, int dim);
// The mean over N of logits [N, V] and targets i32 [N]; f32 for 16-bit logits.
Value CrossEntropy(const Value& logits, const Tensor& targets);

// Rotary position embedding (arXiv 2104.09864): in x [.., T, .., D], pair i of the last dimension at position t turns
// by (first_position + t) theta^(-2i/D). D is even.
enum class RotaryPairs : std::uint8_t {
  kInterleaved,  // elements 2i and 2i + 1: llama2.c's and Meta's
  kHalves,       // elements i and D/2 + i: Hugging Face's
};
struct RotaryOptions {
  int position_dim = -2;  // which dimension T is; any but the last
  double theta = 10000;   // > 0
  RotaryPairs pairs = RotaryPairs::kInterleaved;
  std::int64_t first_position = 0;  // of t = 0; 0 to 2^53 - T
};
Value Rotary(const Value& x, const RotaryOptions& options);

// Causal self-attention of q, k, v [B, H, T, D], scaled by 1/sqrt(D). kComposed is made of the ops above and saves what
// they save; kFused keeps no score matrix and saves q, k, v, its output and one float per row.
enum class AttentionForm : std::uint8_t { kComposed, kFused };
Value CausalAttention(const Value& q, const Value& k, const Value& v, AttentionForm form, double dropout = 0,
                      std::uint64_t seed = 0, std::uint64_t counter = 0);

}  // namespace tierlib::autograd

#endif  // TIERLIB_AUTOGRAD_OPS_H_
