// Uniquifier: keeps maps over one weight as a table with a row per distinct value (U of eDKM).
//
// What is kept of a map is the table, the distinct values, and the weight, whose bits say which row is whose: with
// marshaling the weight is on the host or stays on the device anyway, so that nothing of size N is added.
#ifndef TIERLIB_SRC_DKM_UNIQUIFY_H_
#define TIERLIB_SRC_DKM_UNIQUIFY_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "autograd/saved_codec.h"
#include "dkm/kernels/uniquify.h"
#include "dkm/shard.h"

namespace tierlib::dkm {

// Thread-safety: one thread at a time.
class Uniquifier {
 public:
  // Of the weights w [N, 1] in row-major order. `weight_is_free`: it is kept whatever becomes of the maps, and costs
  // nothing beside them. REQUIRES: w is not written while this is in use.
  Uniquifier(autograd::Tensor w, const Sharding& sharding, bool weight_is_free);

  // Keeps `tensor`, all elements of a storage in whatever order, as a table. Null where it is not a map over these
  // weights (which is looked at, row by row, and not assumed), or where the table would not be smaller. Waits for the
  // device.
  StatusOr<std::shared_ptr<const autograd::EncodedValue>> Encode(const autograd::Launcher& op,
                                                                 const autograd::Tensor& tensor,
                                                                 std::string_view label);

 private:
  // Finds the distinct weights, the first time. distinct_ is 0 where there is no table to be had.
  Status Examine(const autograd::Launcher& op);
  host::KeyedWeights weights() const;

  const autograd::Tensor w_;
  const Sharding sharding_;
  const bool weight_is_free_;
  bool examined_ = false;
  std::int64_t distinct_ = 0;
  autograd::Tensor keys_;   // u16 [distinct_]
  autograd::Tensor first_;  // i64 [distinct_]
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_UNIQUIFY_H_
