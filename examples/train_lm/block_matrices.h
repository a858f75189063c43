// The matrices of the blocks as training and evaluation see them: with --bits 1 to 8 through DKM.
#ifndef TRAIN_LM_BLOCK_MATRICES_H_
#define TRAIN_LM_BLOCK_MATRICES_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "tierlib/dkm/clustering.h"
#include "train_lm/model.h"
#include "train_lm/options.h"

namespace train_lm {

// The matrices as they are stored. REQUIRES: the model outlives it.
std::unique_ptr<MatrixSource> StoredMatrices(Model& model);

// In training, what layers use: the matrix itself, or W~ of its clustering, differentiable. Centroids advance once a
// step. Thread-safety: one thread at a time.
class BlockMatrices : public MatrixSource {
 public:
  // REQUIRES: the model and the learners outlive it. With learners each keeps a share of what clustering saves
  // (tierlib::dkm::Options); null: all of it.
  BlockMatrices(Model& model, const Options& options, tierlib::comm::Communicator* learners);

  tierlib::autograd::Value Matrix(tierlib::autograd::Tape& tape, std::size_t parameter) override;
  // After each optimizer step.
  void Advance();

  // What inference would use, from the weights as they are now; later training does not change it. Its bytes are on the
  // device until it is dropped.
  tierlib::StatusOr<std::unique_ptr<MatrixSource>> ForEvaluation(tierlib::autograd::Context& context);

  // How many matrices each form of DKM is used for, by its name: what --dkm-form auto chose for those it has seen.
  std::map<std::string, int> Forms() const;

  // Index, table and scale bits over all weights of the block matrices; without clustering, the bits of one weight.
  double BitsPerWeight() const;

  struct Clustered {
    std::string name;
    tierlib::dkm::Clustering clustering;
  };
  // By position in the parameters; empty without clustering.
  std::map<std::size_t, Clustered>& clustered() { return clustered_; }

 private:
  Model& model_;
  int bits_;
  std::map<std::size_t, Clustered> clustered_;
};

}  // namespace train_lm

#endif  // TRAIN_LM_BLOCK_MATRICES_H_
