// What options must be to each other.
#ifndef TRAIN_LM_OPTION_CHECKS_H_
#define TRAIN_LM_OPTION_CHECKS_H_

#include "tierlib/status.h"
#include "train_lm/options.h"

namespace train_lm {

// InvalidArgument names the options that exclude each other, or the file that one would read and another replace.
tierlib::Status CheckTogether(const Options& options);

}  // namespace train_lm

#endif  // TRAIN_LM_OPTION_CHECKS_H_
