#include "autograd/op.h"

#include <new>
#include <string>
#include <utility>

#include "autograd/saved_codec.h"
#include "autograd/tape_state.h"

namespace tierlib::autograd {
namespace {

// The tape that an op of these inputs runs on; null where it must not run. An error sticks to the tape.
Tape* CheckInputs(const char* name, absl::Span<const Value* const> inputs) {
  Tape* tape = nullptr;
  for (const Value* input : inputs) {
    if (!input->defined()) return nullptr;
    if (tape == nullptr) tape = input->tape();
  }
  if (tape == nullptr || !tape->status().ok()) return nullptr;
  for (const Value* input : inputs) {
    const Node* node = input->node().get();
    if (input->tape() != tape) {
      tape->Fail(InvalidArgumentError(std::string(name) + ": its inputs are of two tapes"));
      return nullptr;
    }
    if (node != nullptr && node->epoch != tape->state().epoch) {
      tape->Fail(FailedPreconditionError(std::string(name) + ": an input was recorded before the tape was cleared"));
      return nullptr;
    }
  }
  return tape;
}

template <typename Result>
Result Run(const char* name, absl::Span<const Value* const> inputs, absl::FunctionRef<StatusOr<Result>(Op&)> body) {
  Tape* tape = CheckInputs(name, inputs);
  if (tape == nullptr) return Result();
  Status status;
  try {
    Op op(*tape, tape->state().scope + name, inputs);
    StatusOr<Result> result = body(op);
    if (result.ok()) return *std::move(result);
    status = Status(result.status().code(), op.label() + ": " + std::string(result.status().message()));
  } catch (const std::bad_alloc&) {
    status = Status(StatusCode::kResourceExhausted);
  }
  tape->Fail(std::move(status));
  return Result();
}

}  // namespace

Op::Op(Tape& tape, std::string label, absl::Span<const Value* const> inputs)
    : Launcher(tape.context(), std::move(label), /*backward=*/false), tape_(tape) {
  if (!tape.recording()) return;
  bool any = false;
  for (const Value* input : inputs) any = any || input->requires_grad();
  if (!any) return;
  node_ = std::make_shared<Node>();
  node_->label = this->label();
  for (const Value* input : inputs) node_->inputs.push_back(Node::Input{input->node().get(), input->output()});
}

bool Op::wants(int input) const { return node_ != nullptr && node_->inputs[input].node != nullptr; }

int Op::Save(const Tensor& tensor, const char* what) {
  if (node_ == nullptr || !status_.ok()) return -1;
  StatusOr<Node::Kept> kept = Keep(tensor, label() + "." + what);
  if (!kept.ok()) {
    status_ = kept.status();
    return -1;
  }
  tape_.state().Count(tensor);
  node_->kept.push_back(*std::move(kept));
  return static_cast<int>(node_->kept.size()) - 1;
}

StatusOr<Node::Kept> Op::Keep(const Tensor& tensor, const std::string& label) const {
  Node::Kept kept{.saved = Saved(), .storage = tensor.storage(), .encoded = nullptr, .layout = tensor.layout()};
  if (SavedCodec* const codec = tape_.state().codec; codec != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(kept.encoded, codec->Encode(*this, tensor, label));
    if (kept.encoded != nullptr) return kept;
  }
  const Context::State& state = context().state();
  TIERLIB_ASSIGN_OR_RETURN(kept.saved, state.runtime->Pack(tensor.view(), nullptr, state.stream, label));
  return kept;
}

Status DeriveOnTape(Tape& tape, const Tensor& derived, const Tensor& source, Replay replay) {
  if (!tape.recording()) return OkStatus();
  if (SavedCodec* const codec = tape.state().codec; codec != nullptr) codec->NoteDerived(derived, source, replay);
  return tape.context().runtime().Derive(derived.view(), source.view(), std::move(replay));
}

Status Op::Derive(const Tensor& derived, const Tensor& source, Replay replay) const {
  return DeriveOnTape(tape_, derived, source, std::move(replay));
}

StatusOr<Value> Op::Record(Tensor output, BackwardFunction backward, BufferFunction buffer) {
  std::vector<Tensor> outputs;
  outputs.push_back(std::move(output));
  TIERLIB_ASSIGN_OR_RETURN(std::vector<Value> values,
                           RecordAll(std::move(outputs), std::move(backward), std::move(buffer)));
  return std::move(values.front());
}

StatusOr<std::vector<Value>> Op::RecordAll(std::vector<Tensor> outputs, BackwardFunction backward,
                                           BufferFunction buffer) {
  TIERLIB_RETURN_IF_ERROR(status_);
  std::vector<Value> values;
  values.reserve(outputs.size());
  if (node_ != nullptr) {
    for (const Tensor& output : outputs) node_->outputs.push_back(Node::Output{output.dtype(), output.sizes()});
    node_->backward = std::move(backward);
    node_->buffer = std::move(buffer);
    tape_.state().Append(node_);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    values.emplace_back(&tape_, std::move(outputs[i]), node_, static_cast<int>(i));
  }
  return values;
}

Value RunOp(const char* name, std::initializer_list<const Value*> inputs,
            absl::FunctionRef<StatusOr<Value>(Op&)> body) {
  return Run<Value>(name, {inputs.begin(), inputs.size()}, body);
}

Value RunOp(const char* name, const std::vector<const Value*>& inputs, absl::FunctionRef<StatusOr<Value>(Op&)> body) {
  return Run<Value>(name, inputs, body);
}

std::vector<Value> RunOpAll(const char* name, std::initializer_list<const Value*> inputs,
                            absl::FunctionRef<StatusOr<std::vector<Value>>(Op&)> body) {
  return Run<std::vector<Value>>(name, {inputs.begin(), inputs.size()}, body);
}

Status RequireFloat(std::initializer_list<const Value*> values) {
  for (const Value* value : values) {
    if (!IsFloat(value->dtype())) {
      return InvalidArgumentError(std::string("dtype ") + DTypeName(value->dtype()) + " is not a float type");
    }
  }
  return OkStatus();
}

}  // namespace tierlib::autograd
