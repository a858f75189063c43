// AdamW: state and step.
#include "autograd/kernels/adamw.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "autograd/kernels/cast.h"
#include "autograd/launch.h"
#include "autograd/shape.h"
#include "tierlib/autograd/optimizer.h"

namespace tierlib::autograd {
namespace {

struct Slot {
  Parameter* parameter = nullptr;
  double weight_decay = 0;
  Tensor exp_avg;
  Tensor exp_avg_sq;
  Tensor master;  // undefined for f32 and f64
};

StatusOr<Tensor> NewState(const Launcher& launcher, const Parameter& parameter, DType dtype, const char* what) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor state,
                           AllocateTensor(launcher.context(), dtype, parameter.value.sizes(), Holds::kPersistent,
                                          parameter.name + "." + what, trace::Tag::kOptimizer));
  const Context::State& context = launcher.context().state();
  TIERLIB_RETURN_IF_ERROR(context.backend->Fill(state.data(), 0, state.handle()->bytes, context.stream));
  return state;
}

StatusOr<Slot> NewSlot(const Launcher& launcher, Parameter* parameter, double weight_decay) {
  if (parameter == nullptr || !parameter->value.defined())
    return InvalidArgumentError("adamw: a parameter without a value");
  if (!IsFloat(parameter->value.dtype()) || !parameter->value.layout().is_contiguous()) {
    return InvalidArgumentError("adamw: " + parameter->name + " is " + parameter->value.layout().ToString() +
                                "; it must be row-major and of a float type");
  }
  const DType dtype = host::ComputeType(parameter->value.dtype());
  Slot slot;
  slot.parameter = parameter;
  slot.weight_decay = weight_decay;
  TIERLIB_ASSIGN_OR_RETURN(slot.exp_avg, NewState(launcher, *parameter, dtype, "exp_avg"));
  TIERLIB_ASSIGN_OR_RETURN(slot.exp_avg_sq, NewState(launcher, *parameter, dtype, "exp_avg_sq"));
  if (parameter->value.dtype() == dtype) return slot;
  TIERLIB_ASSIGN_OR_RETURN(slot.master, NewState(launcher, *parameter, dtype, "master"));
  TIERLIB_RETURN_IF_ERROR(launcher.Copy(parameter->value, slot.master));
  return slot;
}

}  // namespace

struct AdamW::State {
  State(Context& where, AdamWOptions chosen) : launcher(where, "adamw", /*backward=*/false), options(chosen) {}

  Launcher launcher;
  AdamWOptions options;
  std::vector<Slot> slots;
  std::uint64_t steps = 0;
};

AdamW::AdamW(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdamW::~AdamW() = default;

StatusOr<std::unique_ptr<AdamW>> AdamW::Create(Context& context, std::vector<Group> groups, AdamWOptions options) {
  auto state = std::make_unique<State>(context, options);
  absl::flat_hash_set<const Parameter*> listed;
  for (const Group& group : groups) {
    for (Parameter* parameter : group.parameters) {
      // One kernel updates all parameters at once: a second time would race with the first.
      if (parameter != nullptr && !listed.insert(parameter).second) {
        return InvalidArgumentError("adamw: " + parameter->name + " is listed twice");
      }
      TIERLIB_ASSIGN_OR_RETURN(Slot slot, NewSlot(state->launcher, parameter, group.weight_decay));
      state->slots.push_back(std::move(slot));
    }
  }
  return std::unique_ptr<AdamW>(new AdamW(std::move(state)));
}

Status AdamW::Step(double learning_rate) {
  auto tensors = std::make_shared<std::vector<host::AdamWTensor>>();
  Operands operands;
  for (const Slot& slot : state_->slots) {
    const Parameter& parameter = *slot.parameter;
    if (!parameter.gradient.defined()) continue;
    if (parameter.gradient.sizes() != parameter.value.sizes() ||
        parameter.gradient.dtype() != parameter.value.dtype() || !parameter.gradient.layout().is_contiguous()) {
      return InvalidArgumentError("adamw: the gradient of " + parameter.name + " is " +
                                  parameter.gradient.layout().ToString() + ", its value " +
                                  parameter.value.layout().ToString());
    }
    tensors->push_back(host::AdamWTensor{.dtype = parameter.value.dtype(),
                                         .count = parameter.value.elements(),
                                         .weight_decay = slot.weight_decay,
                                         .value = parameter.value.data(),
                                         .gradient = parameter.gradient.data(),
                                         .exp_avg = slot.exp_avg.data(),
                                         .exp_avg_sq = slot.exp_avg_sq.data(),
                                         .master = AddressOrNull(slot.master)});
    operands.reads.push_back(&parameter.gradient);
    for (const Tensor* updated : {&parameter.value, &slot.exp_avg, &slot.exp_avg_sq, &slot.master}) {
      if (updated->defined()) operands.updates.push_back(updated);
    }
  }
  host::AdamWArguments arguments;
  arguments.tensors = *tensors;
  arguments.learning_rate = learning_rate;
  arguments.beta1 = state_->options.beta1;
  arguments.beta2 = state_->options.beta2;
  arguments.epsilon = state_->options.epsilon;
  arguments.step = state_->steps + 1;
  TIERLIB_RETURN_IF_ERROR(state_->launcher.Launch("adamw", operands, host::AdamW, arguments, tensors));
  ++state_->steps;
  return OkStatus();
}

std::vector<AdamW::NamedTensor> AdamW::state_tensors() const {
  std::vector<NamedTensor> named;
  for (const Slot& slot : state_->slots) {
    named.push_back({slot.parameter->name + ".exp_avg", slot.exp_avg});
    named.push_back({slot.parameter->name + ".exp_avg_sq", slot.exp_avg_sq});
    if (slot.master.defined()) named.push_back({slot.parameter->name + ".master", slot.master});
  }
  return named;
}

std::uint64_t AdamW::steps() const { return state_->steps; }
void AdamW::set_steps(std::uint64_t steps) { state_->steps = steps; }

}  // namespace tierlib::autograd
