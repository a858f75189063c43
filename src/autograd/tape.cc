#include "tierlib/autograd/tape.h"

#include <new>
#include <utility>
#include <vector>

#include "autograd/kernels/elementwise.h"
#include "autograd/node.h"
#include "autograd/shape.h"
#include "autograd/tape_state.h"
#include "base/check.h"

namespace tierlib::autograd {
namespace {

// Ones of the sizes of `loss`: one element, repeated by strides of 0.
StatusOr<Tensor> Seed(Context& context, const Tensor& loss) {
  const Launcher launcher(context, "loss", /*backward=*/true);
  TIERLIB_ASSIGN_OR_RETURN(Tensor one, launcher.New(loss.dtype(), Dims()));
  TIERLIB_RETURN_IF_ERROR(
      launcher.Launch("fill", {.writes = {&one}}, host::Fill, host::FillArguments{.value = 1, .y = Out(one)}));
  return one.WithLayout(ExpandLayout(one.layout(), loss.sizes()));
}

// Adds what reached a leaf to its parameter's gradient.
Status Accumulate(Context& context, Node& leaf) {
  Parameter& parameter = *leaf.parameter;
  Tensor gradient = std::move(leaf.outputs[0].gradient);
  leaf.outputs[0].gradient = Tensor();
  const Launcher launcher(context, parameter.name + ".grad", /*backward=*/true);
  if (parameter.gradient.defined()) {
    return launcher.Launch(
        "accumulate", {.reads = {&gradient}, .updates = {&parameter.gradient}}, host::Binary,
        host::BinaryArguments{
            .op = host::BinaryOp::kAdd, .a = In(parameter.gradient), .b = In(gradient), .y = Out(parameter.gradient)});
  }
  // What is not the gradient's own memory (a part of another gradient, say) would change with it, or hold more bytes.
  if (!IsExclusive(gradient) ||
      static_cast<std::uint64_t>(gradient.layout().logical_bytes()) != gradient.handle()->bytes) {
    TIERLIB_ASSIGN_OR_RETURN(Tensor own, AllocateTensor(context, gradient.dtype(), gradient.sizes(), Holds::kTransient,
                                                        launcher.label(), trace::Tag::kGradient));
    TIERLIB_RETURN_IF_ERROR(launcher.Copy(gradient, own));
    gradient = std::move(own);
  }
  parameter.gradient = std::move(gradient);
  return OkStatus();
}

void DropGradients(Node& node) {
  for (Node::Output& output : node.outputs) {
    output.gradient = Tensor();
    output.buffer_given = false;
  }
  node.shared_buffer = Tensor();
}

// Parameters that had no gradient before the pass: a pass that fails takes theirs away again.
using FirstGradients = std::vector<Parameter*>;

Status RunNode(Context& context, Node& node, bool retain, FirstGradients& first) {
  if (node.parameter != nullptr) {
    if (!node.parameter->gradient.defined()) first.push_back(node.parameter);
    return Accumulate(context, node);
  }
  if (node.spent) {
    return FailedPreconditionError(node.label +
                                   ": backward ran through it before and dropped what it saved; retain keeps it");
  }
  BackwardPass pass(context, node, retain);
  const Status status = node.backward(pass);
  if (!status.ok()) return Status(status.code(), node.label + " (backward): " + std::string(status.message()));
  if (!retain) {
    node.kept.clear();
    node.spent = true;
  }
  return OkStatus();
}

Status RunBackward(Tape::State& state, const Value& loss, bool retain, FirstGradients& first) {
  Node& last = *loss.node();
  TIERLIB_ASSIGN_OR_RETURN(last.outputs[loss.output()].gradient, Seed(state.context, loss.tensor()));
  state.context.runtime().BeginBackward();
  for (std::size_t i = last.index + 1; i-- > 0;) {
    Node& node = *state.nodes[i];
    bool reached = false;
    for (const Node::Output& output : node.outputs) reached = reached || output.gradient.defined();
    if (reached) TIERLIB_RETURN_IF_ERROR(RunNode(state.context, node, retain, first));
    DropGradients(node);
  }
  return OkStatus();
}

}  // namespace

void Tape::State::Count(const Tensor& saved_tensor) {
  const auto bytes = static_cast<std::uint64_t>(saved_tensor.layout().logical_bytes());
  ++saved_all.values;
  saved_all.bytes += bytes;
  if (saved_tensor.handle()->holds == Holds::kPersistent) return;
  ++saved_transient.values;
  saved_transient.bytes += bytes;
}

Tape::Tape(Context& context) : state_(std::make_unique<State>(context)) {}
Tape::~Tape() { Clear(); }

Context& Tape::context() const { return state_->context; }

Value Tape::Constant(Tensor tensor) { return Value(this, std::move(tensor), nullptr, 0); }

Value Tape::Leaf(Parameter& parameter) {
  if (!state_->recording || !parameter.value.defined()) return Constant(parameter.value);
  Node*& known = state_->leaves[&parameter];
  if (known == nullptr) {
    auto node = std::make_shared<Node>();
    node->label = parameter.name;
    node->outputs.push_back(Node::Output{parameter.value.dtype(), parameter.value.sizes()});
    node->parameter = &parameter;
    known = node.get();
    state_->Append(std::move(node));
  }
  return Value(this, parameter.value, state_->nodes[known->index], 0);
}

void Tape::set_recording(bool recording) { state_->recording = recording; }
bool Tape::recording() const { return state_->recording; }

Status Tape::Backward(const Value& loss, bool retain) {
  if (!state_->status.ok()) return state_->status;
  if (!loss.defined() || loss.tape() != this || !loss.requires_grad() || loss.node()->epoch != state_->epoch) {
    return FailedPreconditionError(
        "backward: the loss was not recorded on this tape or depends on no leaf (gradients are constants: passes are "
        "not recorded)");
  }
  FirstGradients first;
  Status status;
  try {
    status = RunBackward(*state_, loss, retain, first);
  } catch (const std::bad_alloc&) {
    status = Status(StatusCode::kResourceExhausted);
  }
  if (!status.ok()) {
    for (const std::shared_ptr<Node>& node : state_->nodes) DropGradients(*node);
    for (Parameter* parameter : first) parameter->gradient = Tensor();
    Fail(status);
  }
  return status;
}

Status Tape::status() const { return state_->status; }

void Tape::Fail(Status status) {
  if (state_->status.ok()) state_->status = std::move(status);
}

void Tape::Clear() {
  // Values may still hold nodes: what these keep is given back now all the same.
  for (const std::shared_ptr<Node>& node : state_->nodes) {
    node->kept.clear();
    DropGradients(*node);
  }
  state_->nodes.clear();
  state_->leaves.clear();
  state_->causal_masks.clear();
  state_->status = OkStatus();
  state_->saved_all = SavedCount();
  state_->saved_transient = SavedCount();
  ++state_->epoch;
}

Tape::SavedCount Tape::saved(bool count_parameters) const {
  return count_parameters ? state_->saved_all : state_->saved_transient;
}

void Tape::PushScope(std::string_view name) {
  state_->scope_lengths.push_back(state_->scope.size());
  state_->scope.append(name).append(".");
}

void Tape::PopScope() {
  TIERLIB_CHECK(!state_->scope_lengths.empty(), "PopScope without PushScope");
  state_->scope.resize(state_->scope_lengths.back());
  state_->scope_lengths.pop_back();
}

}  // namespace tierlib::autograd
