// DenseOutput: the op that the dense chains end with.
#ifndef TIERLIB_SRC_DKM_DENSE_OUTPUT_H_
#define TIERLIB_SRC_DKM_DENSE_OUTPUT_H_

#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// attention [N, k] times c [k, d], of one float dtype, k up to 256: W~ [N, d]. Saves both, as a matrix product does,
// and differs from one in that the bits of a row do not depend on the others (kernels/dense_output.h); on a device with
// kernels of its own it is that device's product.
autograd::Value DenseOutput(const autograd::Value& attention, const autograd::Value& c);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_DENSE_OUTPUT_H_
