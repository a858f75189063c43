// What a Tape holds.
#ifndef TIERLIB_SRC_AUTOGRAD_TAPE_STATE_H_
#define TIERLIB_SRC_AUTOGRAD_TAPE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "autograd/node.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::autograd {

class SavedCodec;

//   I1  nodes[i]->index == i, and every input of a node has a smaller index: reverse order is a valid order of backward
//   I2  between passes no node holds a gradient or a buffer
struct Tape::State {
  explicit State(Context& where) : context(where) {}

  void Append(std::shared_ptr<Node> node) {
    node->tape = this;
    node->index = nodes.size();
    node->epoch = epoch;
    nodes.push_back(std::move(node));
  }
  void Count(const Tensor& saved_tensor);

  Context& context;
  bool recording = true;
  Status status;
  std::uint64_t epoch = 1;
  std::vector<std::shared_ptr<Node>> nodes;
  absl::flat_hash_map<const Parameter*, Node*> leaves;
  std::string scope;                       // "block.3.attn." in front of every label
  std::vector<std::size_t> scope_lengths;  // of `scope` before each open Scope
  SavedCodec* codec = nullptr;             // what ops save through now (saved_codec.h)
  SavedCount saved_all;
  SavedCount saved_transient;                   // without persistent storages
  std::map<std::int64_t, Tensor> causal_masks;  // by length: bool [1, 1, T, T], true above the diagonal
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_TAPE_STATE_H_
