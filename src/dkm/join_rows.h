// JoinRows: what was computed group by group, as one weight again.
#ifndef TIERLIB_SRC_DKM_JOIN_ROWS_H_
#define TIERLIB_SRC_DKM_JOIN_ROWS_H_

#include <vector>

#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// The elements of the parts, one after the other, with `sizes`. The parts' gradients are views of the result's. Saves
// nothing. REQUIRES: at least one part; all of one dtype, with as many elements together as the sizes.
autograd::Value JoinRows(const std::vector<autograd::Value>& parts, const Dims& sizes);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_JOIN_ROWS_H_
