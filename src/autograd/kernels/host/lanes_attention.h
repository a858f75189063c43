// The arithmetic of attention on tiles of 64 queries by 64 keys, in buffers that are padded so that no vector is
// partial.
//
// A tile's rows are queries, its columns keys. On the diagonal, query i sees keys 0 ... i; elsewhere all of them.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ATTENTION_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ATTENTION_H_

#include <cstdint>

namespace tierlib::autograd::host {

// Queries or keys of a block: so many that the buffers of a head stay within the stack that kernels may take.
template <typename T>
inline constexpr std::int64_t kAttentionTile = sizeof(T) == 8 ? 32 : 64;
// Row lengths of buffers are multiples of this: the lanes of the widest vector.
inline constexpr std::int64_t kAttentionPad = 16;

// Which part of a product a diagonal tile needs, rows being taken four at a time.
enum class Part {
  kAll,
  kColumnsToRow,  // columns 0 ... row: scores
  kDepthToRow,    // terms 0 ... row: probabilities times values
  kDepthFromRow,  // terms from the row on: the transpose of probabilities times gradients
};

// C[i][j] (+)= sum over k of A(i, k) B[k][j] for i < rows, j < columns, k < depth. A(i, k) = a[i * a_row + k * a_term].
// REQUIRES: C has room for rows rounded up to 4, A is readable there; columns is a multiple of kAttentionPad.
template <typename T>
struct TileProduct {
  Part part = Part::kAll;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const T* a = nullptr;
  std::int64_t a_row = 0;
  std::int64_t a_term = 0;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;
};
void MultiplyLanes(const TileProduct<float>& product);
void MultiplyLanes(const TileProduct<double>& product);

// One row of kAttentionTile scores: s = exp(s - max(most, largest of s)) for the first `visible` columns and 0 for the
// others. `most` is raised to the largest; returns the sum of the row.
float SoftmaxRowLanes(float* s, std::int64_t visible, float* most);
double SoftmaxRowLanes(double* s, std::int64_t visible, double* most);

// One row of kAttentionTile in backward. In: s the scores, dp the gradients of the (dropped) probabilities. With p =
// exp(s - log_sum_exp) for visible columns and 0 for others, and factors the dropout of each (null: none): s = p
// factors, dp = p (dp factors
// - delta).
void ScoreGradientRowLanes(float* s, float* dp, std::int64_t visible, float log_sum_exp, float delta,
                           const float* factors);
void ScoreGradientRowLanes(double* s, double* dp, std::int64_t visible, double log_sum_exp, double delta,
                           const double* factors);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ATTENTION_H_
