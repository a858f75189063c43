// Which form clusters a weight, and with which kernels. Pure functions of options and layouts: no device is asked.
#ifndef TIERLIB_SRC_DKM_FORM_CHOICE_H_
#define TIERLIB_SRC_DKM_FORM_CHOICE_H_

#include <string>

#include "tierlib/dkm/clustering.h"
#include "tierlib/status.h"
#include "tierlib/view.h"

namespace tierlib::dkm {

inline bool IsDense(Form form) { return form == Form::kReference || form == Form::kPaper; }
inline bool Is16Bits(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16; }

// The type of the values that are clustered by a form that is not dense.
DType ClusteredType(const Options& options, DType weight);

// What a scaled weight is stored as before it is rounded and clustered.
DType ScaledType(const Options& options, DType weight);

// The form for a weight that passed the checks of start.h: never kAuto. The same on every device.
Form FormFor(const Options& options, const Layout& weight);

// What a device with kernels of its own runs for a weight, once for each of its groups.
struct NativeKernels {
  // kExact (kernels/cuda/exact.h), kTiled (kernels/cuda/tiled.h), or kReference (the autograd's kernels alone).
  Form form = Form::kTiled;
  DType element = DType::kF32;   // of weights and gradients there: of kTiled the T of the kernels, f32 or f64
  DType pattern = DType::kBF16;  // of kExact: bf16 or f16, what weights are or are rounded to

  bool in_float64() const { return element == DType::kF64; }
};
// The kernels for a weight that passed the checks of start.h. Unimplemented, with the weight's name and what it can be
// instead, where there are none for what the options ask: the paper's chain, and what uniquify and learners do to a
// dense form's saved values.
StatusOr<NativeKernels> NativeKernelsFor(const std::string& name, const Options& options, const Layout& weight);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_FORM_CHOICE_H_
