// The models that offload_bench trains: the cases for which PyTorch's saved bytes were counted.
#ifndef TIERLIB_BENCH_OFFLOAD_BENCH_MODELS_H_
#define TIERLIB_BENCH_OFFLOAD_BENCH_MODELS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::bench {

// What a model reads, made in the order in which it asks at first and the same in later passes.
class Inputs {
 public:
  explicit Inputs(autograd::Context& context) : context_(context) {}
  // Call before each pass.
  void Rewind() { next_ = 0; }
  // A leaf with a gradient: of normal values around `mean`.
  autograd::Value Leaf(autograd::Tape& tape, const Dims& sizes, double deviation, double mean = 0,
                       Holds holds = Holds::kPersistent);
  autograd::Value Constant(autograd::Tape& tape, const Dims& sizes, double deviation);
  std::vector<autograd::Parameter*> parameters() const;

 private:
  autograd::Parameter& Next(const Dims& sizes, double deviation, double mean, Holds holds);

  autograd::Context& context_;
  Random random_{1};
  std::vector<std::unique_ptr<autograd::Parameter>> all_;
  std::size_t next_ = 0;
};

struct Model {
  std::string name;
  std::function<autograd::Value(autograd::Tape&, Inputs&)> loss;
  // Saved by PyTorch 1.13.1 for the same model, parameters left out, in MB of 1e6 bytes.
  double torch_naive_mb;
  double torch_identity_mb;  // each storage's bytes once
  double torch_walk_mb;      // and what can be made again over at most 4 hops left out
  bool timed;                // its steps are timed too
};

std::vector<Model> Models();

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_OFFLOAD_BENCH_MODELS_H_
