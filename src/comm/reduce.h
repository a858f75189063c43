// Sums, minima and maxima over learners, in the order of ranks.
#ifndef TIERLIB_SRC_COMM_REDUCE_H_
#define TIERLIB_SRC_COMM_REDUCE_H_

#include <cstdint>
#include <vector>

#include "tierlib/comm/communicator.h"
#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::comm {

// InvalidArgument names a dtype that ReduceInOrder does not take.
Status CheckReducible(DType dtype);

// out[i] = (inputs[0][first + i] op inputs[1][first + i]) op ... for i < count, each step rounded to the dtype. `out`
// may be inputs[r] + first, for one r. REQUIRES: CheckReducible; inputs are aligned for the dtype and not empty.
void ReduceInOrder(const std::vector<const void*>& inputs, std::uint64_t first, std::uint64_t count, DType dtype,
                   Reduction reduction, void* out);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_REDUCE_H_
