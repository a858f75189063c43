// StoredTensor: a tensor in the runtime's care until backward, whole or as this learner's share of it (S of eDKM).
//
// Synchronous data-parallel learners hold the same tensors, so each packs the slice of its rank alone: the others hold
// the rest. Loading gathers the slices. The collective runs in the order of the operator's stream, within a kernel, and
// the operator waits for it: no gradient is made of bytes that did not come. On a CUDA device of managed memory the
// calling thread runs it, between the stream's work: kernels of the host may not wait for each other there.
#ifndef TIERLIB_SRC_DKM_SHARD_H_
#define TIERLIB_SRC_DKM_SHARD_H_

#include <cstdint>
#include <string_view>

#include "autograd/launch.h"
#include "tierlib/comm/communicator.h"
#include "tierlib/saved.h"

namespace tierlib::dkm {

struct Sharding {
  comm::Communicator* learners = nullptr;   // outlives what is stored; null: nothing is shared
  std::uint64_t minimum_bytes = 64 * 1024;  // smaller tensors are stored whole: a gather costs more than they do
};

class StoredTensor {
 public:
  // `tensor` is row-major and the only view of its storage that counts; the work that writes it is enqueued.
  // REQUIRES with learners: all of them store equal tensors, in the same order, on different devices: a device's
  // compute waits for the collective, and with it that of a second learner on it, until the deadline.
  static StatusOr<StoredTensor> Store(const autograd::Launcher& launcher, const autograd::Tensor& tensor,
                                      const Sharding& sharding, std::string_view label);

  // The tensor again, with the layout it had, read-only. With learners: all of them load, in the same order; an error
  // of the communicator is that of the call. Where this fails the learner has left the group, as the others would take
  // its next gather for this one; where the rest of its pass fails, the caller must Abort or destroy the communicator
  // before it tries again.
  StatusOr<autograd::Tensor> Load(const autograd::Launcher& launcher) const;

  bool is_share() const { return learners_ != nullptr; }

 private:
  StatusOr<autograd::Tensor> LoadStored(const autograd::Launcher& launcher) const;
  StatusOr<autograd::Tensor> LoadShared(const autograd::Launcher& launcher) const;

  Saved saved_;  // of the whole tensor or of the share; invalid for a share without elements
  StorageId storage_;
  Layout layout_;                           // of the whole
  comm::Communicator* learners_ = nullptr;  // null: stored whole
  std::uint64_t tag_ = 0;                   // of the gather, by the order of Store
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_SHARD_H_
