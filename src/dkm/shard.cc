#include "dkm/shard.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/shape.h"

namespace tierlib::dkm {

using autograd::Context;
using autograd::Launcher;
using autograd::Tensor;

namespace {

// The share of this learner, of `elements` elements in row-major order.
Tensor ShareOf(const Tensor& tensor, const comm::Communicator& learners) {
  const std::int64_t elements = tensor.elements();
  const std::vector<std::uint64_t> shares = comm::EvenShares(static_cast<std::uint64_t>(elements), learners.size());
  std::int64_t begin = 0;
  for (int rank = 0; rank < learners.rank(); ++rank) begin += static_cast<std::int64_t>(shares[rank]);
  Layout flat = Layout::Contiguous(tensor.dtype(), {elements});
  flat.offset_bytes = tensor.layout().offset_bytes;
  return tensor.WithLayout(autograd::SliceLayout(
      flat, 0, begin, begin + static_cast<std::int64_t>(shares[static_cast<std::size_t>(learners.rank())]), 1));
}

// CUDA's driver may run the host kernels of all streams on one thread, where one that waits for another learner's keeps
// that from ever running.
bool IsCuda(const Context& context) {
  const std::vector<DeviceOptions>& devices = context.runtime().options().devices;
  return std::any_of(devices.begin(), devices.end(), [&](const DeviceOptions& each) {
    return each.device == context.device() && each.kind == DeviceKind::kCuda;
  });
}

// All learners' shares in `whole`. Waits for the stream: what failed is this operator's error, and the learners' work
// is at one point of their order.
Status Gather(const Launcher& launcher, comm::Communicator& learners, std::uint64_t tag, const Tensor& share,
              const Tensor& whole) {
  std::vector<std::uint64_t> bytes = comm::EvenShares(static_cast<std::uint64_t>(whole.elements()), learners.size());
  for (std::uint64_t& one : bytes) one *= ElementBytes(whole.dtype());
  const Context::State& state = launcher.context().state();
  if (launcher.runs_host_kernels() && IsCuda(launcher.context())) {
    // The host reaches this device's memory: the caller gathers, between the stream's work.
    TIERLIB_RETURN_IF_ERROR(state.runtime->Synchronize(state.stream));
    return learners.AllGather(autograd::AddressOrNull(share), bytes, whole.data(), tag);
  }
  const auto status = std::make_shared<Status>();
  autograd::Operands operands{.writes = {&whole}};
  if (share.defined()) operands.reads.push_back(&share);
  TIERLIB_RETURN_IF_ERROR(
      launcher.Launch("all_gather", operands,
                      [status, &learners, tag, bytes = std::move(bytes), part = autograd::AddressOrNull(share),
                       to = whole.data()](KernelContext&) { *status = learners.AllGather(part, bytes, to, tag); }));
  TIERLIB_RETURN_IF_ERROR(state.runtime->Synchronize(state.stream));
  return *status;
}

}  // namespace

StatusOr<StoredTensor> StoredTensor::Store(const Launcher& launcher, const Tensor& tensor, const Sharding& sharding,
                                           std::string_view label) {
  StoredTensor stored;
  stored.storage_ = tensor.storage();
  stored.layout_ = tensor.layout();
  Tensor kept = tensor;
  const auto bytes = static_cast<std::uint64_t>(tensor.layout().logical_bytes());
  if (sharding.learners != nullptr && bytes >= sharding.minimum_bytes) {
    stored.learners_ = sharding.learners;
    stored.tag_ = sharding.learners->NextTag();
    kept = ShareOf(tensor, *sharding.learners);
    if (kept.elements() == 0) return stored;
  }
  const Context::State& state = launcher.context().state();
  TIERLIB_ASSIGN_OR_RETURN(stored.saved_, state.runtime->Pack(kept.view(), nullptr, state.stream, label));
  return stored;
}

StatusOr<Tensor> StoredTensor::LoadStored(const Launcher& launcher) const {
  if (!saved_.valid()) return Tensor();
  const Context::State& state = launcher.context().state();
  TIERLIB_ASSIGN_OR_RETURN(Loaded loaded, state.runtime->Unpack(saved_, state.stream));
  return autograd::TensorOfLoaded(launcher.context(), storage_, std::move(loaded));
}

StatusOr<Tensor> StoredTensor::LoadShared(const Launcher& launcher) const {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor share, LoadStored(launcher));
  TIERLIB_ASSIGN_OR_RETURN(Tensor whole,
                           autograd::AllocateTensor(launcher.context(), layout_.dtype, layout_.sizes, Holds::kTransient,
                                                    launcher.label() + ".gathered", trace::Tag::kReload));
  TIERLIB_RETURN_IF_ERROR(Gather(launcher, *learners_, tag_, share, whole));
  return whole;
}

StatusOr<Tensor> StoredTensor::Load(const Launcher& launcher) const {
  if (learners_ == nullptr) return LoadStored(launcher);
  StatusOr<Tensor> whole = LoadShared(launcher);
  // Where the gather itself failed the group is broken anyway, by the first reason.
  if (!whole.ok()) learners_->Abort(whole.status().message());
  return whole;
}

}  // namespace tierlib::dkm
