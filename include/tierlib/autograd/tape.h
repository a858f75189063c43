// Tape: records ops in the order they run and differentiates through them. What an op needs for backward goes through
// the runtime's Pack and comes back through Unpack.
//
// Errors: an op that fails (a full device, wrong shapes) returns an undefined Value and its status stays on the tape;
// ops on undefined Values do nothing. Backward and status() return the first error.
//
// Thread-safety: one thread at a time per tape; several tapes may run on several threads.
#ifndef TIERLIB_AUTOGRAD_TAPE_H_
#define TIERLIB_AUTOGRAD_TAPE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tierlib/autograd/tensor.h"
#include "tierlib/status.h"

namespace tierlib::autograd {

class Tape;
struct Node;

// A leaf that gradients are accumulated into. `gradient` is undefined until a backward pass reaches it; it has the
// dtype and sizes of `value`.
struct Parameter {
  std::string name;
  Tensor value;
  Tensor gradient;
};

// A tensor and where on its tape it was made. A value type.
class Value {
 public:
  Value() = default;
  Value(Tape* tape, Tensor tensor, std::shared_ptr<Node> node, int output)
      : tape_(tape), tensor_(std::move(tensor)), node_(std::move(node)), output_(output) {}
  bool defined() const { return tensor_.defined(); }
  const Tensor& tensor() const { return tensor_; }
  const Dims& sizes() const { return tensor_.sizes(); }
  DType dtype() const { return tensor_.dtype(); }
  bool requires_grad() const { return node_ != nullptr; }
  Tape* tape() const { return tape_; }
  const std::shared_ptr<Node>& node() const { return node_; }
  int output() const { return output_; }

 private:
  Tape* tape_ = nullptr;
  Tensor tensor_;
  std::shared_ptr<Node> node_;  // null: a constant
  int output_ = 0;
};

class Tape {
 public:
  // REQUIRES: the context outlives the tape.
  explicit Tape(Context& context);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Context& context() const;

  Value Constant(Tensor tensor);
  // REQUIRES: the parameter outlives the tape's Backward.
  Value Leaf(Parameter& parameter);
  // A leaf that is not a parameter: a transient input whose gradient is wanted.
  Value Input(Parameter& parameter) { return Leaf(parameter); }

  // With recording off nothing is saved and nothing requires a gradient (evaluation).
  void set_recording(bool recording);
  bool recording() const;

  // Gradients of sum(loss * seed) with respect to every leaf, added to Parameter::gradient; seed is ones. `loss` is
  // usually a scalar. With retain, saved values are kept and Backward may be called again; otherwise each is dropped
  // once used, and a second pass through the same ops is FailedPrecondition. Gradients are summed in the reverse order
  // of recording. They are transient storages that are never saved. Marks the phase by Runtime::BeginBackward.
  //
  // Passes are not recorded, so there are no gradients of gradients: in ops a gradient is a constant, or a leaf of its
  // own. A loss that depends on no leaf is FailedPrecondition.
  //
  // After an error, parameters that had no gradient before have none. A gradient that was there may hold a part of the
  // pass, as undoing that would take a second copy of every gradient: clear it.
  Status Backward(const Value& loss, bool retain = false);

  // The first error of an op on this tape.
  Status status() const;
  // Sticks the first error. For ops.
  void Fail(Status status);

  // Forgets everything recorded and the sticky error, giving all saved values back. Values made before may not be used
  // in ops any more.
  void Clear();

  // What every op saved since the last Clear, counted here on the tape and not by the runtime: values and logical
  // bytes. With `count_parameters` false, values whose storage is persistent are left out.
  struct SavedCount {
    std::uint64_t values = 0;
    std::uint64_t bytes = 0;
  };
  SavedCount saved(bool count_parameters) const;

  // A name in front of the labels of what is recorded from here to PopScope: "block.3." and "gelu" give "block.3.gelu".
  // Labels appear in messages and traces. See Scope.
  void PushScope(std::string_view name);
  void PopScope();

  struct State;
  State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Names a part of the model while it lives: Scope scope(tape, "block.3.attn");
class Scope {
 public:
  Scope(Tape& tape, std::string_view name) : tape_(tape) { tape_.PushScope(name); }
  ~Scope() { tape_.PopScope(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Tape& tape_;
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_AUTOGRAD_TAPE_H_
