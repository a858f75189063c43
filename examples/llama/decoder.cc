#include "llama/decoder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace llama {

using tierlib::Status;
using tierlib::StatusOr;

namespace {

std::size_t Size(std::int64_t size) { return static_cast<std::size_t>(size); }

// In place, over `count` > 0 values.
void Softmax(float* x, std::int64_t count) {
  const float highest = *std::max_element(x, x + count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] = std::exp(x[i] - highest);
  for (std::int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(x[i] / sum);
}

}  // namespace

Decoder::Decoder(const Shape& shape, DecoderWeights weights)
    : shape_(shape),
      weights_(std::move(weights)),
      keys_(Size(shape.layers * shape.context * shape.kv_width())),
      values_(keys_.size()),
      x_(Size(shape.width)),
      normed_(Size(shape.width)),
      queries_(Size(shape.width)),
      mixed_(Size(shape.width)),
      out_(Size(shape.width)),
      gate_(Size(shape.hidden)),
      up_(Size(shape.hidden)),
      scores_(Size(shape.context)),
      logits_(Size(shape.vocabulary)) {}

StatusOr<const float*> Decoder::Next(std::int32_t token) {
  if (token < 0 || token >= shape_.vocabulary) {
    return tierlib::InvalidArgumentError("token " + std::to_string(token) + " of a model with " +
                                         std::to_string(shape_.vocabulary));
  }
  if (position_ >= shape_.context) {
    return Status(tierlib::StatusCode::kOutOfRange,
                  "the model's context of " + std::to_string(shape_.context) + " tokens is full");
  }
  TIERLIB_RETURN_IF_ERROR(matrix(0).Row(token, x_.data()));
  for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
    TIERLIB_RETURN_IF_ERROR(Attend(layer));
    TIERLIB_RETURN_IF_ERROR(Transform(layer));
  }
  Normalize(LastNormPosition(shape_), normed_.data());
  TIERLIB_RETURN_IF_ERROR(matrix(HeadPosition(shape_)).Multiply(normed_.data(), logits_.data()));
  ++position_;
  return static_cast<const float*>(logits_.data());
}

void Decoder::Normalize(std::size_t norm, float* out) const {
  double squares = 0;
  for (const float x : x_) squares += double{x} * x;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x_.size()) + shape_.norm_epsilon);
  const std::vector<float>& weight = weights_.norms[norm];
  for (std::size_t i = 0; i < x_.size(); ++i) out[i] = static_cast<float>(x_[i] * scale) * weight[i];
}

void Decoder::Turn(float* x, std::int64_t heads) const {
  const std::int64_t pairs = shape_.head_width() / 2;
  const bool halves = shape_.pairs == tierlib::autograd::RotaryPairs::kHalves;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double angle = static_cast<double>(position_) *
                         std::pow(shape_.rope_theta, -static_cast<double>(i) / static_cast<double>(pairs));
    const auto cosine = static_cast<float>(std::cos(angle));
    const auto sine = static_cast<float>(std::sin(angle));
    for (std::int64_t head = 0; head < heads; ++head) {
      float& a = x[head * shape_.head_width() + (halves ? i : 2 * i)];
      float& b = (&a)[halves ? pairs : 1];
      const float before = a;
      a = before * cosine - b * sine;
      b = before * sine + b * cosine;
    }
  }
}

Status Decoder::Attend(std::int64_t layer) {
  const std::int64_t kv = shape_.kv_width();
  const std::int64_t d = shape_.head_width();
  float* const keys = keys_.data() + layer * shape_.context * kv;
  float* const values = values_.data() + layer * shape_.context * kv;
  Normalize(Position(layer, kInputNorm), normed_.data());
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kQueries)).Multiply(normed_.data(), queries_.data()));
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kKeys)).Multiply(normed_.data(), keys + position_ * kv));
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kValues)).Multiply(normed_.data(), values + position_ * kv));
  Turn(queries_.data(), shape_.heads);
  Turn(keys + position_ * kv, shape_.kv_heads);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
  std::fill(mixed_.begin(), mixed_.end(), 0.0f);
  for (std::int64_t head = 0; head < shape_.heads; ++head) {
    const std::int64_t shared = head / (shape_.heads / shape_.kv_heads) * d;  // of keys and values
    const float* const query = queries_.data() + head * d;
    for (std::int64_t t = 0; t <= position_; ++t) {
      float score = 0;
      for (std::int64_t i = 0; i < d; ++i) score += query[i] * keys[t * kv + shared + i];
      scores_[Size(t)] = score * scale;
    }
    Softmax(scores_.data(), position_ + 1);
    for (std::int64_t t = 0; t <= position_; ++t) {
      for (std::int64_t i = 0; i < d; ++i) {
        mixed_[Size(head * d + i)] += scores_[Size(t)] * values[t * kv + shared + i];
      }
    }
  }
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kAttentionOut)).Multiply(mixed_.data(), out_.data()));
  for (std::size_t i = 0; i < x_.size(); ++i) x_[i] += out_[i];
  return tierlib::OkStatus();
}

Status Decoder::Transform(std::int64_t layer) {
  Normalize(Position(layer, kMiddleNorm), normed_.data());
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kGate)).Multiply(normed_.data(), gate_.data()));
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kUp)).Multiply(normed_.data(), up_.data()));
  for (std::size_t i = 0; i < gate_.size(); ++i) gate_[i] = gate_[i] / (1 + std::exp(-gate_[i])) * up_[i];
  TIERLIB_RETURN_IF_ERROR(matrix(Position(layer, kDown)).Multiply(gate_.data(), out_.data()));
  for (std::size_t i = 0; i < x_.size(); ++i) x_[i] += out_[i];
  return tierlib::OkStatus();
}

}  // namespace llama
