// PairDistance: the op that the paper's chain begins with.
#ifndef TIERLIB_SRC_DKM_PAIR_DISTANCE_H_
#define TIERLIB_SRC_DKM_PAIR_DISTANCE_H_

#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// distance[i][j] = ||w_i - c_j|| for w [N, d] and c [k, d] of one float dtype, d and k up to 256: [N, k]. Its gradient
// is 0 where the distance is. Saves both inputs and its output, as torch.cdist does.
autograd::Value PairDistance(const autograd::Value& w, const autograd::Value& c);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_PAIR_DISTANCE_H_
