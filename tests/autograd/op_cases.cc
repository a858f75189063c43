#include "autograd/op_cases.h"

#include <cstdint>

namespace tierlib::autograd {
namespace {

Tensor Indices(Tape& tape, const Dims& sizes, std::vector<std::int32_t> values) {
  return Tensor::FromHost(tape.context(), DType::kI32, sizes, values.data(), Holds::kTransient, "indices").value();
}

Tensor Mask(Tape& tape, const Dims& sizes, const std::vector<std::uint8_t>& values) {
  return Tensor::FromHost(tape.context(), DType::kBool, sizes, values.data(), Holds::kTransient, "mask").value();
}

using Values = std::vector<Value>;

std::vector<OpCase> ViewCases() {
  return {
      {"reshape",
       {{{3, 5, 4}}},
       [](Tape&, const Values& v) {
         return Reshape(v[0], {5, -1, 2});
       }},
      {"reshape_of_transpose", {{{3, 5}}}, [](Tape&, const Values& v) { return Reshape(Transpose(v[0]), {-1}); }},
      {"transpose", {{{3, 1, 5}}}, [](Tape&, const Values& v) { return Transpose(v[0], 0, 2); }},
      {"permute",
       {{{3, 2, 5}}},
       [](Tape&, const Values& v) {
         return Permute(v[0], {1, 2, 0});
       }},
      {"slice", {{{7, 3}}}, [](Tape&, const Values& v) { return Slice(v[0], 0, 1, 6, 2); }},
      {"slice_of_nothing",
       {{{7, 3}}},
       [](Tape&, const Values& v) { return Add(Slice(v[0], 0, 7, 7), Slice(v[0], 0, 0, 0)); }},
      {"expand",
       {{{3, 1, 5}}},
       [](Tape&, const Values& v) {
         return Expand(v[0], {2, 3, 4, 5});
       }},
      {"squeeze", {{{3, 1, 5}}}, [](Tape&, const Values& v) { return Squeeze(v[0], 1); }},
      {"unsqueeze", {{{3, 5}}}, [](Tape&, const Values& v) { return Unsqueeze(v[0], -1); }},
      {"split_uses_all",
       {{{4, 6}}},
       [](Tape&, const Values& v) {
         const Values parts = Split(v[0], 3, 1);
         return Add(Mul(parts[2], parts[0]), parts[1]);
       }},
      {"split_uses_one", {{{6, 3}}}, [](Tape&, const Values& v) { return Square(Split(v[0], 2, 0)[1]); }},
      {"split_uses_one_part_twice",
       {{{4, 6}}},
       [](Tape&, const Values& v) {
         const Value part = Split(v[0], 2, -1)[0];
         return Mul(Transpose(MulScalar(Transpose(part), 3)), Reshape(Square(Reshape(part, {3, 4})), {4, 3}));
       }},
      {"contiguous", {{{3, 5}}}, [](Tape&, const Values& v) { return Contiguous(Transpose(v[0])); }},
      {"clone", {{{3, 5}}}, [](Tape&, const Values& v) { return Square(Clone(v[0])); }},
      {"diamond",
       {{{3, 5}}},
       [](Tape&, const Values& v) {
         const Value y = Square(v[0]);
         return Add(Mul(y, v[0]), Add(y, y));
       }},
  };
}

std::vector<OpCase> ElementwiseCases() {
  return {
      {"add", {{{3, 5}}, {{3, 5}}}, [](Tape&, const Values& v) { return Add(v[0], v[1]); }},
      {"add_broadcast", {{{3, 1, 5}}, {{4, 1}}}, [](Tape&, const Values& v) { return Add(v[0], v[1]); }},
      {"sub", {{{3, 5}}, {{3, 5}}}, [](Tape&, const Values& v) { return Sub(v[0], v[1]); }},
      {"sub_broadcast", {{{5, 1}}, {{1, 4}}}, [](Tape&, const Values& v) { return Sub(v[0], v[1]); }},
      {"mul", {{{3, 5}}, {{3, 5}}}, [](Tape&, const Values& v) { return Mul(v[0], v[1]); }},
      {"mul_broadcast", {{{2, 3, 5}}, {{5}}}, [](Tape&, const Values& v) { return Mul(v[1], v[0]); }},
      {"mul_by_itself", {{{3, 5}}}, [](Tape&, const Values& v) { return Mul(v[0], v[0]); }},
      {"div", {{{3, 5}}, {{3, 5}, 0.5, 2}}, [](Tape&, const Values& v) { return Div(v[0], v[1]); }},
      {"div_broadcast", {{{3, 5}}, {{3, 1}, 0.5, 2}}, [](Tape&, const Values& v) { return Div(v[0], v[1]); }},
      {"add_scalar", {{{3, 5}}}, [](Tape&, const Values& v) { return Square(AddScalar(v[0], 0.5)); }},
      {"mul_scalar", {{{3, 5}}}, [](Tape&, const Values& v) { return MulScalar(v[0], -2.5); }},
      {"square", {{{3, 5}}}, [](Tape&, const Values& v) { return Square(v[0]); }},
      {"sqrt", {{{3, 5}, 0.5, 2}}, [](Tape&, const Values& v) { return Sqrt(v[0]); }},
      {"exp", {{{3, 5}}}, [](Tape&, const Values& v) { return Exp(v[0]); }},
      {"log", {{{3, 5}, 0.5, 2}}, [](Tape&, const Values& v) { return Log(v[0]); }},
      {"gelu", {{{3, 5}, -3, 3}}, [](Tape&, const Values& v) { return Gelu(v[0]); }},
      {"silu", {{{3, 5}, -3, 3}}, [](Tape&, const Values& v) { return Silu(v[0]); }},
      {"clamp", {{{3, 5}}}, [](Tape&, const Values& v) { return Clamp(v[0], -0.4, 0.3); }},
      {"masked_fill",
       {{{2, 3, 4}}},
       [](Tape& tape, const Values& v) {
         return MaskedFill(v[0], Mask(tape, {3, 1}, {0, 1, 0}), -7);
       }},
      {"dropout", {{{5, 7}}}, [](Tape&, const Values& v) { return Dropout(v[0], 0.4, 11, 3); }},
  };
}

std::vector<OpCase> LayerCases() {
  const auto attention = [](AttentionForm form, double dropout) {
    return [form, dropout](Tape&, const Values& v) { return CausalAttention(v[0], v[1], v[2], form, dropout, 5, 9); };
  };
  const std::vector<InputSpec> heads = {{{2, 3, 5, 4}}, {{2, 3, 5, 4}}, {{2, 3, 5, 4}}};
  return {
      {"sum", {{{3, 5}}}, [](Tape&, const Values& v) { return Square(Sum(v[0])); }},
      {"mean", {{{3, 5}}}, [](Tape&, const Values& v) { return Square(Mean(v[0])); }},
      {"sum_dim", {{{3, 4, 5}}}, [](Tape&, const Values& v) { return Square(SumDim(v[0], 1, false)); }},
      {"sum_dim_keep", {{{3, 5}}}, [](Tape&, const Values& v) { return Mul(v[0], SumDim(v[0], -1, true)); }},
      {"matmul", {{{3, 5}}, {{5, 4}}}, [](Tape&, const Values& v) { return MatMul(v[0], v[1]); }},
      {"matmul_folds_rows", {{{2, 3, 5}}, {{5, 4}}}, [](Tape&, const Values& v) { return MatMul(v[0], v[1]); }},
      {"matmul_broadcasts", {{{2, 1, 3, 5}}, {{4, 5, 2}}}, [](Tape&, const Values& v) { return MatMul(v[0], v[1]); }},
      {"matmul_of_transposed",
       {{{2, 5, 3}}, {{2, 4, 5}}},
       [](Tape&, const Values& v) { return MatMul(Transpose(v[0]), Transpose(v[1])); }},
      {"matmul_of_vectors", {{{1, 5}}, {{5, 1}}}, [](Tape&, const Values& v) { return MatMul(v[0], v[1]); }},
      {"linear", {{{2, 3, 5}}, {{4, 5}}}, [](Tape&, const Values& v) { return Linear(v[0], v[1]); }},
      {"embedding",
       {{{5, 3}}},
       [](Tape& tape, const Values& v) {
         return Embedding(v[0], Indices(tape, {2, 3}, {4, 0, 4, 1, 4, 0}));
       }},
      {"layer_norm",
       {{{2, 3, 7}}, {{7}, 0.5, 2}, {{7}}},
       [](Tape&, const Values& v) { return LayerNorm(v[0], v[1], v[2], 1e-5); }},
      {"layer_norm_without_bias",
       {{{4, 7}}, {{7}, 0.5, 2}},
       [](Tape&, const Values& v) { return LayerNorm(v[0], v[1], Value(), 1e-5); }},
      {"rms_norm", {{{2, 3, 7}}, {{7}, 0.5, 2}}, [](Tape&, const Values& v) { return RmsNorm(v[0], v[1], 1e-5); }},
      {"rms_norm_of_large_epsilon",
       {{{4, 7}}, {{7}, 0.5, 2}},
       [](Tape&, const Values& v) { return RmsNorm(v[0], v[1], 0.5); }},
      {"rotary", {{{2, 3, 6}}}, [](Tape&, const Values& v) { return Square(Rotary(v[0], {})); }},
      {"rotary_of_halves_from_a_later_position",
       {{{2, 3, 2, 4}}},
       [](Tape&, const Values& v) {
         return Square(
             Rotary(v[0], {.position_dim = 1, .theta = 10, .pairs = RotaryPairs::kHalves, .first_position = 5}));
       }},
      {"rotary_of_transpose", {{{4, 3}}}, [](Tape&, const Values& v) { return Square(Rotary(Transpose(v[0]), {})); }},
      {"softmax", {{{3, 7}, -3, 3}}, [](Tape&, const Values& v) { return Softmax(v[0], -1); }},
      {"softmax_of_first", {{{5, 2, 3}, -3, 3}}, [](Tape&, const Values& v) { return Softmax(v[0], 0); }},
      {"cross_entropy",
       {{{4, 7}, -3, 3}},
       [](Tape& tape, const Values& v) {
         return CrossEntropy(v[0], Indices(tape, {4}, {6, 0, 3, 3}));
       }},
      {"attention_composed", heads, attention(AttentionForm::kComposed, 0)},
      {"attention_fused", heads, attention(AttentionForm::kFused, 0)},
      {"attention_composed_dropout", heads, attention(AttentionForm::kComposed, 0.3)},
      {"attention_fused_dropout", heads, attention(AttentionForm::kFused, 0.3)},
      {"attention_of_one_projection",
       {{{2, 3, 12}}},
       [](Tape&, const Values& v) {
         const Values parts = Split(v[0], 3, 2);
         const auto head = [](const Value& x) { return Transpose(Reshape(x, {2, 3, 2, 2}), 1, 2); };
         const Value y = CausalAttention(head(parts[0]), head(parts[1]), head(parts[2]), AttentionForm::kFused);
         return Reshape(Transpose(y, 1, 2), {2, 3, 4});
       }},
      {"attention_of_equal_inputs",
       {{{1, 2, 4, 3}}},
       [](Tape&, const Values& v) { return CausalAttention(v[0], v[0], v[0], AttentionForm::kFused); }},
  };
}

}  // namespace

const std::vector<OpCase>& OpCases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all = ViewCases();
    for (OpCase& op_case : ElementwiseCases()) all.push_back(std::move(op_case));
    for (OpCase& op_case : LayerCases()) all.push_back(std::move(op_case));
    return all;
  }();
  return cases;
}

const char* ShapeName(Shape shape) {
  switch (shape) {
    case Shape::kPlain: return "plain";
    case Shape::kTransposed: return "transposed";
    case Shape::kSliced: return "sliced";
    case Shape::kExpanded: return "expanded";
  }
  return "?";
}

Dims ParameterSizes(Shape shape, const Dims& sizes) {
  Dims result = sizes;
  const int rank = sizes.rank();
  if (shape == Shape::kTransposed && rank >= 2) std::swap(result[rank - 2], result[rank - 1]);
  if (shape == Shape::kSliced && rank >= 1) result[rank - 1] = 2 * sizes[rank - 1] + 1;
  if (shape == Shape::kExpanded && rank >= 1) result[0] = 1;
  return result;
}

Value Shaped(Shape shape, const Value& parameter, const Dims& sizes) {
  const int rank = sizes.rank();
  if (shape == Shape::kTransposed && rank >= 2) return Transpose(parameter);
  if (shape == Shape::kSliced && rank >= 1) return Slice(parameter, -1, 1, 2 * sizes[rank - 1] + 1, 2);
  if (shape == Shape::kExpanded && rank >= 1) return Expand(parameter, sizes);
  return parameter;
}

}  // namespace tierlib::autograd
