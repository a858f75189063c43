// Op: the forward run of one op, from the checks of its inputs to its record on the tape.
//
// Every op is a call of RunOp with a function that computes the outputs and names, beside it, what backward does:
//
//   Value Gelu(const Value& x) {
//     return RunOp("gelu", {&x}, [&](Op& op) -> StatusOr<Value> {
//       TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
//       const int input = op.Save(x.tensor(), "input");
//       TIERLIB_RETURN_IF_ERROR(op.Launch(...));
//       return op.Record(y, [input](BackwardPass& pass) -> Status { ... });
//     });
//   }
#ifndef TIERLIB_SRC_AUTOGRAD_OP_H_
#define TIERLIB_SRC_AUTOGRAD_OP_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "autograd/node.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/status.h"

namespace tierlib::autograd {

class Op : public Launcher {
 public:
  Op(Tape& tape, std::string label, absl::Span<const Value* const> inputs);

  Tape& tape() const { return tape_; }
  // True where the tape records and an input requires a gradient: only then is anything saved.
  bool records() const { return node_ != nullptr; }
  bool wants(int input) const;

  // Saves a value for backward and returns its slot there. Call after the kernel that writes it, or before the launch
  // for inputs. Does nothing where records() is false. An error is returned by Record.
  int Save(const Tensor& tensor, const char* what);

  // Tells the runtime that `derived` can be made again from `source`. Does nothing where the tape does not record.
  Status Derive(const Tensor& derived, const Tensor& source, Replay replay) const;

  // The op's value(s), differentiable where records().
  StatusOr<Value> Record(Tensor output, BackwardFunction backward, BufferFunction buffer = nullptr);
  StatusOr<std::vector<Value>> RecordAll(std::vector<Tensor> outputs, BackwardFunction backward, BufferFunction buffer);

 private:
  StatusOr<Node::Kept> Keep(const Tensor& tensor, const std::string& label) const;

  Tape& tape_;
  std::shared_ptr<Node> node_;
  Status status_;
};

// Runs `body` where all inputs are defined, of one tape, and the tape has not failed; otherwise returns an undefined
// Value. An error of `body` sticks to the tape, with the op's label in front of its message.
Value RunOp(const char* name, std::initializer_list<const Value*> inputs, absl::FunctionRef<StatusOr<Value>(Op&)> body);
Value RunOp(const char* name, const std::vector<const Value*>& inputs, absl::FunctionRef<StatusOr<Value>(Op&)> body);
std::vector<Value> RunOpAll(const char* name, std::initializer_list<const Value*> inputs,
                            absl::FunctionRef<StatusOr<std::vector<Value>>(Op&)> body);

// Op::Derive outside of an op: for what several ops together make.
Status DeriveOnTape(Tape& tape, const Tensor& derived, const Tensor& source, Replay replay);

// InvalidArgument "dtype i32 is not a float type" unless all are.
Status RequireFloat(std::initializer_list<const Value*> values);

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_OP_H_
