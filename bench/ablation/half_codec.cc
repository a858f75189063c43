#include "ablation/half_codec.h"

#include "dkm/shard.h"

namespace tierlib::bench {
namespace {

using autograd::Launcher;
using autograd::Tensor;

struct Half : autograd::EncodedValue {
  dkm::StoredTensor values;  // bf16

  StatusOr<Tensor> Decode(const Launcher& backward) const override {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor half, values.Load(backward));
    TIERLIB_ASSIGN_OR_RETURN(Tensor whole, backward.New(DType::kF32, half.sizes()));
    TIERLIB_RETURN_IF_ERROR(backward.Copy(half, whole));
    return whole;
  }
};

}  // namespace

StatusOr<std::shared_ptr<const autograd::EncodedValue>> HalfCodec::Encode(const Launcher& op, const Tensor& tensor,
                                                                          std::string_view label) {
  if (tensor.storage() != tensor_.storage()) return std::shared_ptr<const autograd::EncodedValue>();
  auto half = std::make_shared<Half>();
  TIERLIB_ASSIGN_OR_RETURN(const Tensor narrow, op.New(DType::kBF16, tensor_.sizes()));
  TIERLIB_RETURN_IF_ERROR(op.Copy(tensor_, narrow));
  TIERLIB_ASSIGN_OR_RETURN(half->values, dkm::StoredTensor::Store(op, narrow, {}, label));
  return std::shared_ptr<const autograd::EncodedValue>(std::move(half));
}

}  // namespace tierlib::bench
