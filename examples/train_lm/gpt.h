// The GPT of nanoGPT: its names, without biases, exact GELU, the head tied to the token embedding.
#ifndef TRAIN_LM_GPT_H_
#define TRAIN_LM_GPT_H_

#include "train_lm/model.h"

namespace train_lm {

class GptModel : public Model {
 public:
  explicit GptModel(const ModelShape& shape) : Model(shape) {}

 private:
  tierlib::autograd::Value Logits(tierlib::autograd::Tape& tape, MatrixSource& matrices,
                                  const tierlib::autograd::Tensor& tokens, const Dropout& dropout) override;
  tierlib::autograd::Value Block(tierlib::autograd::Tape& tape, MatrixSource& matrices, std::int64_t layer,
                                 const tierlib::autograd::Value& x, const Dropout& dropout);
  tierlib::autograd::Value Attention(tierlib::autograd::Tape& tape, MatrixSource& matrices, std::int64_t layer,
                                     const tierlib::autograd::Value& x, const Dropout& dropout);
};

}  // namespace train_lm

#endif  // TRAIN_LM_GPT_H_
