#include "autograd/models.h"

#include <cmath>
#include <cstdlib>

namespace tierlib::autograd {
namespace {

std::vector<std::int32_t> RandomTokens(std::uint64_t step, std::int64_t count, std::int64_t vocabulary) {
  Random random(31, step);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::int32_t& token : tokens) {
    token = static_cast<std::int32_t>(random.UniformInt(static_cast<std::uint64_t>(vocabulary)));
  }
  return tokens;
}

// f32 values on the device, cast to `dtype` there.
Tensor MakeParameter(TestDevice& device, DType dtype, const Dims& sizes, const std::vector<float>& values,
                     const std::string& name) {
  const Tensor full = device.Make(DType::kF32, sizes, values, Holds::kPersistent, name);
  if (dtype == DType::kF32) return full;
  Tape tape(device.context());
  tape.set_recording(false);
  const std::vector<std::uint8_t> bytes = ReadBytes(Cast(tape.Constant(full), dtype).tensor());
  return device.Make(dtype, sizes, bytes, Holds::kPersistent, name);
}

Status TrainStep(TestDevice& device, AdamW& adamw, const std::vector<Parameter*>& parameters, std::uint64_t step,
                 const std::function<Value(Tape&)>& loss_of, RunRecord* record) {
  device.runtime().BeginStep(step);
  Tape tape(device.context());
  const Value loss = loss_of(tape);
  TIERLIB_RETURN_IF_ERROR(tape.status());
  TIERLIB_RETURN_IF_ERROR(tape.Backward(loss));
  record->bits.push_back(ReadBytes(loss.tensor()));
  for (const Parameter* parameter : parameters) record->bits.push_back(ReadBytes(parameter->gradient));
  TIERLIB_RETURN_IF_ERROR(ClipGradientNorm(device.context(), parameters, 0.5));
  TIERLIB_RETURN_IF_ERROR(adamw.Step(1e-2));
  ClearGradients(parameters);
  device.runtime().EndStep();
  return device.runtime().health();
}

RunRecord Train(TestDevice& device, const std::vector<Parameter*>& parameters, int steps,
                const std::function<Value(Tape&, std::uint64_t)>& loss_of) {
  RunRecord record;
  StatusOr<std::unique_ptr<AdamW>> adamw = AdamW::Create(device.context(), {{parameters, 0.1}});
  record.status = adamw.status();
  for (int step = 0; step < steps && record.status.ok(); ++step) {
    const auto number = static_cast<std::uint64_t>(step);
    record.status = TrainStep(
        device, **adamw, parameters, number, [&](Tape& tape) { return loss_of(tape, number); }, &record);
  }
  if (record.status.ok()) {
    for (const Parameter* parameter : parameters) record.bits.push_back(ReadBytes(parameter->value));
    record.status = device.runtime().Drain();
  }
  record.statistics = device.runtime().statistics();
  return record;
}

}  // namespace

SmallGpt::SmallGpt(TestDevice& device, const ModelOptions& options) : device_(device), options_(options) {
  const std::int64_t width = options.width;
  Add("wte", {options.vocabulary, width}, -0.3, 0.3);
  Add("wpe", {options.length, width}, -0.3, 0.3);
  for (int i = 0; i < options.layers; ++i) {
    const std::string block = "h." + std::to_string(i) + ".";
    Add(block + "ln_1", {width}, 0.8, 1.2);
    Add(block + "c_attn", {3 * width, width}, -0.3, 0.3);
    Add(block + "attn.c_proj", {width, width}, -0.3, 0.3);
    Add(block + "ln_2", {width}, 0.8, 1.2);
    Add(block + "c_fc", {4 * width, width}, -0.3, 0.3);
    Add(block + "mlp.c_proj", {width, 4 * width}, -0.3, 0.3);
  }
  Add("ln_f", {width}, 0.8, 1.2);
}

Parameter& SmallGpt::Add(const std::string& name, const Dims& sizes, double low, double high) {
  auto parameter = std::make_unique<Parameter>();
  parameter->name = name;
  parameter->value =
      MakeParameter(device_, options_.dtype, sizes, RandomValues<float>(random_, sizes, low, high), name);
  parameters_.push_back(std::move(parameter));
  return *parameters_.back();
}

std::vector<Parameter*> SmallGpt::parameter_pointers() const {
  std::vector<Parameter*> pointers;
  for (const auto& parameter : parameters_) pointers.push_back(parameter.get());
  return pointers;
}

Value SmallGpt::Of(Tape& tape, const std::string& name) {
  for (const auto& parameter : parameters_) {
    if (parameter->name == name) return tape.Leaf(*parameter);
  }
  std::abort();
}

Value SmallGpt::Drop(const Value& x, std::uint64_t step) {
  return Dropout(x, options_.dropout, 17, step * 100 + drops_++);
}

Value SmallGpt::Block(Tape& tape, const std::string& name, const Value& x, std::uint64_t step) {
  const Scope scope(tape, name);
  const std::int64_t head_size = options_.width / options_.heads;
  const auto heads = [&](const Value& part) {
    return Transpose(Reshape(part, {options_.batch, options_.length, options_.heads, head_size}), 1, 2);
  };
  const Value normed = LayerNorm(x, Of(tape, name + ".ln_1"), Value(), 1e-5);
  const std::vector<Value> parts = Split(Linear(normed, Of(tape, name + ".c_attn")), 3, 2);
  if (parts.empty()) return Value();
  const Value attended = CausalAttention(heads(parts[0]), heads(parts[1]), heads(parts[2]), options_.form,
                                         options_.dropout, 17, step * 100 + drops_++);
  const Value joined = Reshape(Transpose(attended, 1, 2), {options_.batch, options_.length, options_.width});
  const Value middle = tierlib::autograd::Add(x, Drop(Linear(joined, Of(tape, name + ".attn.c_proj")), step));
  const Value hidden =
      Gelu(Linear(LayerNorm(middle, Of(tape, name + ".ln_2"), Value(), 1e-5), Of(tape, name + ".c_fc")));
  return tierlib::autograd::Add(middle, Drop(Linear(hidden, Of(tape, name + ".mlp.c_proj")), step));
}

Value SmallGpt::Loss(Tape& tape, std::uint64_t step) {
  drops_ = 0;
  const std::int64_t rows = options_.batch * options_.length;
  const std::vector<std::int32_t> tokens = RandomTokens(step, rows, options_.vocabulary);
  const std::vector<std::int32_t> next = RandomTokens(step + 1000, rows, options_.vocabulary);
  const StatusOr<Tensor> indices = Tensor::FromHost(tape.context(), DType::kI32, {options_.batch, options_.length},
                                                    tokens.data(), Holds::kTransient, "tokens");
  const StatusOr<Tensor> targets =
      Tensor::FromHost(tape.context(), DType::kI32, {rows}, next.data(), Holds::kTransient, "targets");
  if (!indices.ok() || !targets.ok()) {
    tape.Fail(indices.ok() ? targets.status() : indices.status());
    return Value();
  }
  Value x = tierlib::autograd::Add(Embedding(Of(tape, "wte"), *indices), Of(tape, "wpe"));
  x = Drop(x, step);
  for (int i = 0; i < options_.layers; ++i) x = Block(tape, "h." + std::to_string(i), x, step);
  const Value logits = Linear(LayerNorm(x, Of(tape, "ln_f"), Value(), 1e-5), Of(tape, "wte"));
  return CrossEntropy(Reshape(logits, {rows, options_.vocabulary}), *targets);
}

RunRecord TrainGpt(const Options& options, const ModelOptions& model, int steps) {
  TestDevice device(options);
  SmallGpt gpt(device, model);
  return Train(device, gpt.parameter_pointers(), steps,
               [&](Tape& tape, std::uint64_t step) { return gpt.Loss(tape, step); });
}

RunRecord TrainMlp(const Options& options, int steps) {
  TestDevice device(options);
  Random random(3);
  std::vector<Parameter> parameters(4);
  // More than two tiles of elementwise ops, sums and updates each: of one tile, all threads but one would see nothing.
  constexpr std::int64_t kWide = 192;
  const Dims sizes[4] = {{kWide, kWide}, {kWide}, {kWide, 16}, {kWide, 16}};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i] = {
        "w" + std::to_string(i),
        device.Make(DType::kF32, sizes[i], RandomValues<float>(random, sizes[i], -0.5, 0.5), Holds::kPersistent),
        Tensor()};
  }
  const auto loss = [&](Tape& tape, std::uint64_t step) {
    Random data(step + 40);
    const Dims batch = {kWide, kWide};
    const Value x = tape.Constant(device.Make(DType::kF32, batch, RandomValues<float>(data, batch, -1, 1)));
    const Value a = Silu(Add(Linear(x, tape.Leaf(parameters[0])), tape.Leaf(parameters[1])));
    const Value b = Exp(MulScalar(MatMul(a, tape.Leaf(parameters[2])), 0.3));
    // Copies through transposes, so that lineage has something to find.
    const Value c = Mul(Contiguous(Transpose(b)), Clamp(Contiguous(Transpose(b)), 0.5, 1.5));
    const Value d = Linear(Transpose(Div(c, AddScalar(Square(c), 1))), tape.Leaf(parameters[3]));
    return Mean(Square(Sub(d, Softmax(Sqrt(AddScalar(Square(d), 1)), 1))));
  };
  std::vector<Parameter*> pointers;
  for (Parameter& parameter : parameters) pointers.push_back(&parameter);
  return Train(device, pointers, steps, loss);
}

}  // namespace tierlib::autograd
