#include "autograd/node.h"

#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/saved_codec.h"
#include "base/check.h"

namespace tierlib::autograd {

StatusOr<Tensor> BackwardPass::Unpack(int slot) {
  Node::Kept& kept = node_.kept[slot];
  TIERLIB_CHECK(kept.saved.valid() || kept.encoded != nullptr, "a saved value is unpacked after it was dropped");
  if (kept.encoded != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor decoded, kept.encoded->Decode(*this));
    const Layout layout = kept.layout;
    if (!retain_) kept.encoded.reset();
    return decoded.WithLayout(layout);
  }
  Context::State& state = context().state();
  TIERLIB_ASSIGN_OR_RETURN(Loaded loaded, state.runtime->Unpack(kept.saved, state.stream));
  const StorageId storage = kept.storage;
  if (!retain_) kept.saved = Saved();
  return TensorOfLoaded(context(), storage, std::move(loaded));
}

StatusOr<Tensor> BackwardPass::NewGradient(int input) {
  Node& producer_node = *node_.inputs[input].node;
  const int output = node_.inputs[input].output;
  Node::Output& target = producer_node.outputs[output];
  // A place is handed out once: a second gradient of the same output is computed elsewhere and added.
  if (producer_node.buffer && !target.gradient.defined() && !target.buffer_given) {
    target.buffer_given = true;
    BackwardPass pass(context(), producer_node, retain_);
    TIERLIB_ASSIGN_OR_RETURN(Tensor place, producer_node.buffer(pass, output));
    if (place.defined()) return place;
  }
  return AllocateTensor(context(), target.dtype, target.sizes, Holds::kTransient, producer_node.label + ".grad",
                        trace::Tag::kGradient);
}

StatusOr<Tensor> BackwardPass::NewRowMajorGradient(int input) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor place, NewGradient(input));
  if (place.layout().is_contiguous()) return place;
  return New(place.dtype(), place.sizes());
}

Status BackwardPass::Give(int input, Tensor gradient) {
  if (!wants(input)) return OkStatus();
  Node::Output& target = node_.inputs[input].node->outputs[node_.inputs[input].output];
  TIERLIB_CHECK(gradient.sizes() == target.sizes && gradient.dtype() == target.dtype,
                "a gradient differs from its value in sizes or dtype");
  if (!target.gradient.defined()) {
    target.gradient = std::move(gradient);
    return OkStatus();
  }
  const auto add = [&](const Tensor& sum, const Operands& operands) {
    return Launch(
        "add gradients", operands, host::Binary,
        host::BinaryArguments{.op = host::BinaryOp::kAdd, .a = In(target.gradient), .b = In(gradient), .y = Out(sum)});
  };
  // Always (what came first) + (what came later): in place where one of them is nobody else's.
  if (IsExclusive(target.gradient)) {
    return add(target.gradient, {.reads = {&gradient}, .updates = {&target.gradient}});
  }
  if (IsExclusive(gradient)) {
    TIERLIB_RETURN_IF_ERROR(add(gradient, {.reads = {&target.gradient}, .updates = {&gradient}}));
    target.gradient = std::move(gradient);
    return OkStatus();
  }
  TIERLIB_ASSIGN_OR_RETURN(Tensor sum, New(target.dtype, target.sizes));
  TIERLIB_RETURN_IF_ERROR(add(sum, {.reads = {&target.gradient, &gradient}, .writes = {&sum}}));
  target.gradient = std::move(sum);
  return OkStatus();
}

Status BackwardPass::GiveSummed(int input, const Tensor& gradient) {
  if (!wants(input)) return OkStatus();
  if (gradient.sizes() == input_sizes(input) && gradient.dtype() == input_dtype(input)) return Give(input, gradient);
  TIERLIB_ASSIGN_OR_RETURN(Tensor sum, NewGradient(input));
  TIERLIB_RETURN_IF_ERROR(SumInto(gradient, sum));
  return Give(input, std::move(sum));
}

}  // namespace tierlib::autograd
