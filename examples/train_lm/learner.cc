#include "train_lm/learner.h"

#include <string>
#include <utility>

#include "llama/float_convert.h"
#include "tierlib/autograd/tensor.h"

namespace train_lm {

using tierlib::DType;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::autograd::Context;
using tierlib::autograd::Parameter;
using tierlib::autograd::Tensor;
using tierlib::comm::Reduction;

Learner::Share Learner::ShareOf(std::int64_t sequences) const {
  const std::vector<std::uint64_t> shares = tierlib::comm::EvenShares(static_cast<std::uint64_t>(sequences), count());
  Share share;
  for (int other = 0; other < rank(); ++other) {
    share.first += static_cast<std::int64_t>(shares[static_cast<std::size_t>(other)]);
  }
  share.sequences = static_cast<std::int64_t>(shares[static_cast<std::size_t>(rank())]);
  share.weight = static_cast<double>(share.sequences) / static_cast<double>(sequences);
  return share;
}

Status Learner::ReduceGradients(Context& context, const std::vector<Parameter*>& parameters, const Share& share) {
  if (group_ == nullptr) return tierlib::OkStatus();
  for (Parameter* parameter : parameters) {
    if (!parameter->gradient.defined()) continue;
    TIERLIB_RETURN_IF_ERROR(ReduceGradient(context, *parameter, static_cast<float>(share.weight)));
  }
  return tierlib::OkStatus();
}

Status Learner::ReduceGradient(Context& context, Parameter& parameter, float weight) {
  Tensor& gradient = parameter.gradient;
  std::vector<char> bytes(static_cast<std::size_t>(gradient.layout().logical_bytes()));
  TIERLIB_RETURN_IF_ERROR(gradient.CopyToHost(bytes.data(), bytes.size()));
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(gradient.elements()));
  for (const double value : llama::ReadFloats(bytes.data(), gradient.dtype(), gradient.elements())) {
    values.push_back(static_cast<float>(value) * weight);
  }
  TIERLIB_RETURN_IF_ERROR(group_->AllReduce(values.data(), values.data(), values.size(), DType::kF32, Reduction::kSum));
  bytes = llama::WriteFloats({values.begin(), values.end()}, gradient.dtype());
  if (gradient.layout().is_contiguous()) return gradient.CopyFromHost(bytes.data(), bytes.size());
  TIERLIB_ASSIGN_OR_RETURN(gradient, Tensor::FromHost(context, gradient.dtype(), gradient.sizes(), bytes.data(),
                                                      tierlib::Holds::kTransient, parameter.name + ".gradient"));
  return tierlib::OkStatus();
}

Status Learner::Sum(std::vector<double>& values) {
  if (group_ == nullptr) return tierlib::OkStatus();
  return group_->AllReduce(values.data(), values.data(), values.size(), DType::kF64, Reduction::kSum);
}

StatusOr<bool> Learner::Any(bool mine) {
  std::int32_t any = mine ? 1 : 0;
  if (group_ != nullptr) {
    TIERLIB_RETURN_IF_ERROR(group_->AllReduce(&any, &any, 1, DType::kI32, Reduction::kMax));
  }
  return any != 0;
}

StatusOr<std::vector<std::uint64_t>> Learner::Gather(std::uint64_t mine) {
  std::vector<std::uint64_t> all(static_cast<std::size_t>(count()), mine);
  if (group_ != nullptr) {
    TIERLIB_RETURN_IF_ERROR(group_->AllGather(&mine, std::vector<std::uint64_t>(all.size(), sizeof mine), all.data()));
  }
  return all;
}

Status Learner::CheckEqual(std::uint64_t fingerprint, std::uint64_t step) {
  TIERLIB_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> all, Gather(fingerprint));
  for (std::size_t other = 1; other < all.size(); ++other) {
    if (all[other] == all[0]) continue;
    return tierlib::DataLossError("step " + std::to_string(step) + ": learner " + std::to_string(other) +
                                  " has other weights or centroids than learner 0");
  }
  return tierlib::OkStatus();
}

}  // namespace train_lm
