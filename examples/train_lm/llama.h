// The LLaMA architecture as a model of this program: RMSNorm, rotary embedding, SwiGLU, heads that share keys and
// values, the head tied or not. Names are Hugging Face's, and so is the order of query and key rows.
#ifndef TRAIN_LM_LLAMA_H_
#define TRAIN_LM_LLAMA_H_

#include "llama/shape.h"
#include "train_lm/model.h"

namespace train_lm {

// The same numbers. REQUIRES: shape.llama.
llama::Shape LlamaShapeOf(const ModelShape& shape);

class LlamaModel : public Model {
 public:
  explicit LlamaModel(const ModelShape& shape) : Model(shape), llama_(LlamaShapeOf(shape)) {}

 private:
  tierlib::autograd::Value Logits(tierlib::autograd::Tape& tape, MatrixSource& matrices,
                                  const tierlib::autograd::Tensor& tokens, const Dropout& dropout) override;
  tierlib::autograd::Value Attention(tierlib::autograd::Tape& tape, MatrixSource& matrices, std::int64_t layer,
                                     const tierlib::autograd::Value& x, const Dropout& dropout);
  tierlib::autograd::Value FeedForward(tierlib::autograd::Tape& tape, MatrixSource& matrices, std::int64_t layer,
                                       const tierlib::autograd::Value& x);
  tierlib::autograd::Value Norm(tierlib::autograd::Tape& tape, const tierlib::autograd::Value& x, std::size_t position);

  const llama::Shape llama_;
};

}  // namespace train_lm

#endif  // TRAIN_LM_LLAMA_H_
