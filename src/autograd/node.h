// Node: what the tape remembers of one op, and how backward runs it.
//
// The tape owns its nodes in the order they were recorded; inputs point to earlier nodes of the same tape. What
// backward needs is held as Saved values of the runtime, never as tensors, so no cycle of references can arise.
#ifndef TIERLIB_SRC_AUTOGRAD_NODE_H_
#define TIERLIB_SRC_AUTOGRAD_NODE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/inlined_vector.h"
#include "autograd/launch.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/saved.h"

namespace tierlib::autograd {

class BackwardPass;
class EncodedValue;

// Computes the gradients of a node's inputs from those of its outputs.
using BackwardFunction = std::function<Status(BackwardPass&)>;
// Memory in which the gradient of one output should be written, so that it need not be copied later: for views, the
// same view of the memory of their input's gradient. Undefined where there is no such place.
using BufferFunction = std::function<StatusOr<Tensor>(BackwardPass&, int output)>;

struct Node {
  struct Input {
    Node* node = nullptr;  // null: no gradient is wanted
    int output = 0;
  };
  struct Output {
    DType dtype = DType::kF32;
    Dims sizes;
    Tensor gradient;            // of the pass that runs; the sum of what has reached this output
    bool buffer_given = false;  // its memory was handed out once already
  };
  struct Kept {
    Saved saved;  // invalid once dropped, and where a codec keeps the value
    StorageId storage;
    std::shared_ptr<const EncodedValue> encoded;  // by a codec (saved_codec.h); null once dropped
    Layout layout;                                // of what was encoded: the encoding may serve other views too
  };

  std::string label;
  absl::InlinedVector<Input, 3> inputs;
  absl::InlinedVector<Output, 1> outputs;
  absl::InlinedVector<Kept, 4> kept;
  BackwardFunction backward;
  BufferFunction buffer;           // null: gradients are plain row-major tensors
  Tensor shared_buffer;            // of the pass that runs: memory that `buffer` hands out parts of
  Parameter* parameter = nullptr;  // set: a leaf

  const Tape::State* tape = nullptr;
  std::size_t index = 0;    // in the tape's order
  std::uint64_t epoch = 0;  // of the tape (Clear raises it)
  bool spent = false;       // backward ran and dropped what was kept
};

// One node's run in a backward pass: what its BackwardFunction sees. Made by the tape.
class BackwardPass : public Launcher {
 public:
  BackwardPass(Context& context, Node& node, bool retain)
      : Launcher(context, node.label, /*backward=*/true), node_(node), retain_(retain) {}

  // Gradient of an output; undefined where none reached it (a node with one output always has it).
  const Tensor& gradient(int output = 0) const { return node_.outputs[output].gradient; }
  bool wants(int input) const { return node_.inputs[input].node != nullptr; }
  DType input_dtype(int input) const { return producer(input).dtype; }
  const Dims& input_sizes(int input) const { return producer(input).sizes; }

  // A saved value, by the slot that Op::Save gave. It comes back with the strides it was packed with.
  StatusOr<Tensor> Unpack(int slot);

  // Memory to write the gradient of an input into; strides as its producer likes them, or row-major.
  StatusOr<Tensor> NewGradient(int input);
  StatusOr<Tensor> NewRowMajorGradient(int input);
  // The gradient of an input, to be added to what reached its producer before. Sizes are the producer's.
  Status Give(int input, Tensor gradient);
  // As Give, after summing over the dimensions in which the input was broadcast.
  Status GiveSummed(int input, const Tensor& gradient);

  Tensor& shared_buffer() { return node_.shared_buffer; }

 private:
  const Node::Output& producer(int input) const {
    return node_.inputs[input].node->outputs[node_.inputs[input].output];
  }

  Node& node_;
  bool retain_;
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_NODE_H_
