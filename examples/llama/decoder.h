// Decoder: what a LLaMA model says next, one token after the other, with the keys and values of those before kept.
#ifndef LLAMA_DECODER_H_
#define LLAMA_DECODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "llama/matrix.h"
#include "llama/shape.h"
#include "tierlib/status.h"

namespace llama {

// Matrices and norms in the order of WeightsOf: of each position the one or the other.
struct DecoderWeights {
  std::vector<std::unique_ptr<Matrix>> matrices;
  std::vector<std::vector<float>> norms;
};

// Thread-safety: one thread at a time.
class Decoder {
 public:
  // REQUIRES: the weights are those of WeightsOf(shape).
  Decoder(const Shape& shape, DecoderWeights weights);

  // The logits [vocabulary] of what follows `token`, which follows all tokens since Reset; valid until the next call.
  // OutOfRange where the model's context is full, InvalidArgument for a token that it has not.
  tierlib::StatusOr<const float*> Next(std::int32_t token);
  void Reset() { position_ = 0; }
  std::int64_t position() const { return position_; }

 private:
  tierlib::Status Attend(std::int64_t layer);
  tierlib::Status Transform(std::int64_t layer);
  // Turns `heads` heads in place for the position of this token.
  void Turn(float* x, std::int64_t heads) const;
  // out = x / rms(x) * weight
  void Normalize(std::size_t norm, float* out) const;
  const Matrix& matrix(std::size_t position) const { return *weights_.matrices[position]; }

  const Shape shape_;
  const DecoderWeights weights_;
  std::int64_t position_ = 0;
  std::vector<float> keys_;    // [layers, context, kv_width]
  std::vector<float> values_;  // the same
  std::vector<float> x_, normed_, queries_, mixed_, out_, gate_, up_, scores_, logits_;
};

}  // namespace llama

#endif  // LLAMA_DECODER_H_
