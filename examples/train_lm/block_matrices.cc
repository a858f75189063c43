#include "train_lm/block_matrices.h"

#include <algorithm>
#include <utility>

namespace train_lm {
namespace {

using tierlib::DType;
using tierlib::StatusOr;
using tierlib::autograd::Context;
using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;
using tierlib::autograd::Value;

// Constants in place of some of the parameters.
class Replaced : public MatrixSource {
 public:
  Replaced(Model& model, std::map<std::size_t, Tensor> tensors) : model_(model), tensors_(std::move(tensors)) {}
  Value Matrix(Tape& tape, std::size_t parameter) override {
    const auto found = tensors_.find(parameter);
    return found == tensors_.end() ? tape.Leaf(model_.parameters()[parameter]) : tape.Constant(found->second);
  }

 private:
  Model& model_;
  std::map<std::size_t, Tensor> tensors_;
};

// The tensor rounded to bfloat16, in its own dtype.
StatusOr<Tensor> RoundTo16Bits(Context& context, const Tensor& tensor) {
  Tape tape(context);
  tape.set_recording(false);
  const Value rounded =
      tierlib::autograd::Cast(tierlib::autograd::Cast(tape.Constant(tensor), DType::kBF16), tensor.dtype());
  TIERLIB_RETURN_IF_ERROR(tape.status());
  return rounded.tensor();
}

}  // namespace

std::unique_ptr<MatrixSource> StoredMatrices(Model& model) {
  return std::make_unique<Replaced>(model, std::map<std::size_t, Tensor>());
}

BlockMatrices::BlockMatrices(Model& model, const Options& options, tierlib::comm::Communicator* learners)
    : model_(model), bits_(options.bits) {
  if (!options.clusters()) return;
  for (std::size_t i = 0; i < model.specs().size(); ++i) {
    if (!model.specs()[i].block_matrix) continue;
    tierlib::dkm::Options dkm;
    dkm.bits = options.bits;
    dkm.tau = options.tau;
    dkm.iterations = options.dkm_iterations;
    dkm.epsilon = options.dkm_epsilon;
    dkm.form = options.dkm_form;
    dkm.round_to = options.dkm_round_to;
    dkm.start = options.dkm_start;
    dkm.seed = options.seed + i;
    dkm.learners = learners;
    dkm.group_rows = options.group_rows;
    dkm.per_channel_scale = options.per_channel_scale;
    dkm.attention_floor = options.attention_floor;
    dkm.prune_threshold = options.prune_threshold;
    dkm.uniquify = options.uniquify;
    const std::string& name = model.specs()[i].name;
    clustered_.emplace(i, Clustered{name, tierlib::dkm::Clustering(name, dkm)});
  }
}

Value BlockMatrices::Matrix(Tape& tape, std::size_t parameter) {
  const Value weight = tape.Leaf(model_.parameters()[parameter]);
  const auto found = clustered_.find(parameter);
  return found == clustered_.end() ? weight : found->second.clustering.Apply(tape, weight);
}

void BlockMatrices::Advance() {
  for (auto& [parameter, each] : clustered_) each.clustering.Advance();
}

StatusOr<std::unique_ptr<MatrixSource>> BlockMatrices::ForEvaluation(Context& context) {
  std::map<std::size_t, Tensor> tensors;
  for (auto& [parameter, each] : clustered_) {
    TIERLIB_ASSIGN_OR_RETURN(tensors[parameter],
                             each.clustering.Palettize(context, model_.parameters()[parameter].value));
  }
  for (std::size_t i = 0; bits_ == 16 && i < model_.specs().size(); ++i) {
    const Tensor& value = model_.parameters()[i].value;
    if (!model_.specs()[i].block_matrix || tierlib::ElementBytes(value.dtype()) == 2) continue;
    TIERLIB_ASSIGN_OR_RETURN(tensors[i], RoundTo16Bits(context, value));
  }
  return std::unique_ptr<MatrixSource>(new Replaced(model_, std::move(tensors)));
}

std::map<std::string, int> BlockMatrices::Forms() const {
  std::map<std::string, int> forms;
  for (const auto& [parameter, each] : clustered_) ++forms[FormName(each.clustering.form())];
  return forms;
}

double BlockMatrices::BitsPerWeight() const {
  double bits = 0;
  std::int64_t weights = 0;
  for (std::size_t i = 0; i < model_.specs().size(); ++i) {
    if (!model_.specs()[i].block_matrix) continue;
    const std::int64_t elements = model_.specs()[i].elements();
    const auto found = clustered_.find(i);
    const auto stored = 8.0 * static_cast<double>(tierlib::ElementBytes(model_.parameters()[i].value.dtype()));
    const double each = found == clustered_.end()
                            ? std::min<double>(stored, bits_)
                            : found->second.clustering.BitsPerWeight(model_.parameters()[i].value.sizes());
    bits += each * static_cast<double>(elements);
    weights += elements;
  }
  return bits / static_cast<double>(weights);
}

}  // namespace train_lm
