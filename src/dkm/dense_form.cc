#include "dkm/dense_form.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "autograd/op.h"
#include "autograd/replay.h"
#include "autograd/shape.h"
#include "dkm/join_rows.h"
#include "dkm/kernels/dense_output.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {
namespace {

using autograd::Launcher;
using autograd::Tape;
using autograd::Tensor;
using autograd::Value;

// Rows [begin, end) of a tensor.
Tensor RowsIn(const Tensor& tensor, std::int64_t begin, std::int64_t end) {
  return tensor.WithLayout(autograd::SliceLayout(tensor.layout(), 0, begin, end, 1));
}

// The rows of each group. Whole groups go through one op, whose gradient is written once.
std::vector<Value> RowsByGroup(const Value& weight, const Groups& groups) {
  if (groups.count == 1) return {weight};
  const bool even = groups.last_rows == groups.rows;
  const std::int64_t whole_groups = even ? groups.count : groups.count - 1;
  const std::int64_t whole_rows = whole_groups * groups.rows;
  const Value whole = even ? weight : Slice(weight, 0, 0, whole_rows);
  std::vector<Value> parts = Split(whole, static_cast<int>(whole_groups), 0);
  if (!even) parts.push_back(Slice(weight, 0, whole_rows, whole_rows + groups.last_rows));
  return parts;
}

// What W~ is made from again besides W: of each group the centroids that its attention was taken against, and C_T. Of
// the weight's dtype, and they stay where the replay finds them.
class ReplayTable {
 public:
  // Undefined where W~ is to be kept as it is.
  static StatusOr<ReplayTable> Make(const Launcher& launcher, const Tape& tape, const Tensor& weight,
                                    const DenseProblem& problem) {
    ReplayTable table(problem);
    if (!tape.recording() || !launcher.runs_host_kernels() || !weight.layout().is_contiguous()) return table;
    const Dims sizes = {problem.groups.count * 2 * problem.clusters, problem.dim};
    const Layout layout = Layout::Contiguous(weight.dtype(), sizes);
    if (layout.logical_bytes() >= weight.layout().logical_bytes() / 2) return table;
    for (const std::int64_t group : {std::int64_t{0}, problem.groups.count - 1}) {
      if (!host::DenseReplays(table.ShapeOf(weight.dtype(), group), problem.paper)) return table;
    }
    TIERLIB_ASSIGN_OR_RETURN(table.values_,
                             autograd::AllocateTensor(launcher.context(), weight.dtype(), sizes, Holds::kPersistent,
                                                      launcher.label() + ".replay_centroids", trace::Tag::kActivation));
    return table;
  }

  bool defined() const { return values_.defined(); }

  Status Take(const Launcher& launcher, std::int64_t group, const ChainResult& result) const {
    if (!defined()) return OkStatus();
    const std::int64_t k = problem_.clusters, first = group * 2 * k;
    TIERLIB_RETURN_IF_ERROR(launcher.Copy(result.attended.tensor(), RowsIn(values_, first, first + k)));
    return launcher.Copy(result.centroids.tensor(), RowsIn(values_, first + k, first + 2 * k));
  }

  // REQUIRES: defined, and each group's was taken.
  Replay MakeReplay(autograd::Context& context) const {
    host::DenseReplayArguments all;
    all.shape = ShapeOf(values_.dtype(), 0);
    all.paper = problem_.paper;
    all.metric = problem_.chain.metric;
    all.tau = problem_.chain.tau;
    all.attention_floor = problem_.paper ? PaperFloor(problem_.chain.attention_floor) : problem_.chain.attention_floor;
    std::vector<Tensor> also = {values_};
    if (const Tensor& bias = problem_.chain.distance_bias; bias.defined()) {
      all.distance_bias = bias.data();
      also.push_back(bias);
    }
    return autograd::KernelReplay(
        context, "dkm dense",
        [all, groups = problem_.groups, table = static_cast<const std::byte*>(values_.data())](
            KernelContext& kernel, const autograd::host::Source& from, const autograd::host::Target& to) {
          const std::size_t element = ElementBytes(all.shape.dtype);
          const std::size_t centroids = static_cast<std::size_t>(all.shape.clusters * all.shape.dim) * element;
          ForEachGroup(kernel, groups, LanesOf(groups, kEnoughVectors, kMostLanes),
                       [&](std::int64_t group, std::int64_t /*lane*/) {
                         host::DenseReplayArguments a = all;
                         a.shape.vectors = groups.Vectors(group);
                         const std::size_t first =
                             static_cast<std::size_t>(groups.FirstVector(group) * all.shape.dim) * element;
                         a.weights = static_cast<const std::byte*>(from.data) + first;
                         a.output = static_cast<std::byte*>(to.data) + first;
                         a.attended = table + static_cast<std::size_t>(2 * group) * centroids;
                         a.centroids = table + static_cast<std::size_t>(2 * group + 1) * centroids;
                         host::DenseReplay(kernel, a);
                       });
        },
        std::move(also));
  }

 private:
  static constexpr std::int64_t kEnoughVectors = std::int64_t{1}
                                                 << 16;  // of a group whose tiles are enough for all threads
  static constexpr std::int64_t kMostLanes = 16;

  explicit ReplayTable(const DenseProblem& problem) : problem_(problem) {}

  host::DistanceShape ShapeOf(DType dtype, std::int64_t group) const {
    return {dtype, problem_.groups.Vectors(group), problem_.dim, problem_.clusters};
  }

  const DenseProblem& problem_;
  Tensor values_;  // [groups][2][k][d]
};

// The centroids to begin with, in the type of the chain.
StatusOr<Tensor> StartIn(const Launcher& launcher, DType dtype, const Tensor& start) {
  if (dtype == start.dtype()) return start;
  TIERLIB_ASSIGN_OR_RETURN(Tensor first, launcher.New(dtype, start.sizes()));
  TIERLIB_RETURN_IF_ERROR(launcher.Copy(start, first));
  return first;
}

}  // namespace

StatusOr<Value> DenseForm(const Launcher& launcher, Tape& tape, const Value& weight, const DenseProblem& problem) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor first, StartIn(launcher, weight.dtype(), problem.start));
  TIERLIB_ASSIGN_OR_RETURN(const ReplayTable table, ReplayTable::Make(launcher, tape, weight.tensor(), problem));
  const Groups& groups = problem.groups;
  const std::vector<Value> parts = RowsByGroup(weight, groups);
  TIERLIB_RETURN_IF_ERROR(tape.status());
  std::vector<Value> outputs;
  for (std::int64_t group = 0; group < groups.count; ++group) {
    const std::int64_t begin = group * problem.clusters, end = begin + problem.clusters;
    const Value w = Reshape(parts[static_cast<std::size_t>(group)], {groups.Vectors(group), problem.dim});
    const Value c = tape.Constant(RowsIn(first, begin, end));
    const ChainResult result = problem.paper ? PaperChain(w, c, problem.chain) : ReferenceChain(w, c, problem.chain);
    TIERLIB_RETURN_IF_ERROR(tape.status());
    TIERLIB_RETURN_IF_ERROR(launcher.Copy(result.centroids.tensor(), RowsIn(problem.newest, begin, end)));
    TIERLIB_RETURN_IF_ERROR(table.Take(launcher, group, result));
    outputs.push_back(result.output);
  }
  const Value output = groups.count == 1 ? Reshape(outputs.front(), weight.sizes()) : JoinRows(outputs, weight.sizes());
  TIERLIB_RETURN_IF_ERROR(tape.status());
  if (table.defined()) {
    TIERLIB_RETURN_IF_ERROR(
        autograd::DeriveOnTape(tape, output.tensor(), weight.tensor(), table.MakeReplay(tape.context())));
  }
  return output;
}

}  // namespace tierlib::dkm
