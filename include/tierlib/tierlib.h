// All of the runtime's public interface. Needs C++17; neither Abseil nor CUDA headers.
#ifndef TIERLIB_TIERLIB_H_
#define TIERLIB_TIERLIB_H_

#include "tierlib/bytes.h"
#include "tierlib/captured_step.h"
#include "tierlib/dtype.h"
#include "tierlib/faults.h"
#include "tierlib/memory_resource.h"
#include "tierlib/options.h"
#include "tierlib/owner.h"
#include "tierlib/placement.h"
#include "tierlib/recompute.h"
#include "tierlib/replay.h"
#include "tierlib/runtime.h"
#include "tierlib/saved.h"
#include "tierlib/shortage.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "tierlib/stream.h"
#include "tierlib/tier.h"
#include "tierlib/view.h"

#endif  // TIERLIB_TIERLIB_H_
