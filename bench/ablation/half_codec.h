// HalfCodec: keeps one f32 tensor, all of whose values are bf16, as those.
#ifndef TIERLIB_BENCH_ABLATION_HALF_CODEC_H_
#define TIERLIB_BENCH_ABLATION_HALF_CODEC_H_

#include <memory>
#include <string_view>
#include <utility>

#include "autograd/saved_codec.h"

namespace tierlib::bench {

// For the row that saves W, a value of 16 bits as in the paper, and wants its gradient in float32: the tape gives a
// value's gradient in the value's own dtype, so W is there as f32. Other tensors are kept as they are. REQUIRES: values
// of `tensor` are those of bf16, as decoding gives them back rounded to it.
class HalfCodec : public autograd::SavedCodec {
 public:
  explicit HalfCodec(autograd::Tensor tensor) : tensor_(std::move(tensor)) {}

  StatusOr<std::shared_ptr<const autograd::EncodedValue>> Encode(const autograd::Launcher& op,
                                                                 const autograd::Tensor& tensor,
                                                                 std::string_view label) override;
  void NoteDerived(const autograd::Tensor&, const autograd::Tensor&, const Replay&) override {}

 private:
  const autograd::Tensor tensor_;
};

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_HALF_CODEC_H_
