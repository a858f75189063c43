// The ops of ops.h, each with inputs of odd sizes, for tests that hold for every op.
#ifndef TIERLIB_TESTS_AUTOGRAD_OP_CASES_H_
#define TIERLIB_TESTS_AUTOGRAD_OP_CASES_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {

struct InputSpec {
  Dims sizes;
  double low = -1;
  double high = 1;
};

struct OpCase {
  std::string name;
  std::vector<InputSpec> inputs;
  std::function<Value(Tape&, const std::vector<Value>&)> run;
};
inline void PrintTo(const OpCase& op_case, std::ostream* out) { *out << op_case.name; }

const std::vector<OpCase>& OpCases();

// How an input is made of the parameter under it.
enum class Shape {
  kPlain,
  kTransposed,  // the last two dimensions of a row-major parameter, swapped
  kSliced,      // every second element of a wider row
  kExpanded,    // one slice along the first dimension, repeated with stride 0
};
inline const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> shapes = {Shape::kPlain, Shape::kTransposed, Shape::kSliced, Shape::kExpanded};
  return shapes;
}
const char* ShapeName(Shape shape);

// Sizes of the parameter, and the value of `sizes` made of it.
Dims ParameterSizes(Shape shape, const Dims& sizes);
Value Shaped(Shape shape, const Value& parameter, const Dims& sizes);

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_AUTOGRAD_OP_CASES_H_
