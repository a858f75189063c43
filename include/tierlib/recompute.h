// Recompute: how the program computes a saved value again, so that it need be neither kept nor copied (checkpointing).
#ifndef TIERLIB_RECOMPUTE_H_
#define TIERLIB_RECOMPUTE_H_

#include <cstdint>
#include <functional>

#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/view.h"

namespace tierlib {

// Where the bytes go. `destination` is the address of the storage's byte 0 as `layout` counts it; only what the layout
// reaches is there.
struct RecomputeArguments {
  void* destination = nullptr;
  Layout layout;
  Stream stream;
};

// Enqueues on the stream the work that writes the value again, equal to the bit, and returns; a status that is not OK
// becomes that of the Unpack which asked, and a later Unpack calls again. It runs on a thread that calls Unpack or
// BeginWrite, with no lock of tierlib held, and on two at once where two ask at once. It may call the runtime: Unpack
// other values, the ones that it computes from, and Pack what it makes on the way, which is treated as any other value.
// To Unpack what is being computed is FailedPrecondition. What it captures (Saved handles of its inputs, say) lives
// until the value's storage is retired or written and nothing saved needs it; a Saved of the value itself, or a handle
// that keeps its storage registered, would keep itself alive.
using RecomputeFunction = std::function<Status(const RecomputeArguments&)>;

struct Recompute {
  RecomputeFunction function;
  const char* name = "recompute";  // for the trace and for messages; a string literal
  // How long the function's work takes on the device, what it has to bring back for it included: less than a copy out
  // and in (DeviceOptions::copy_bytes_per_s), and the value is computed again rather than copied. 0: not known.
  std::uint64_t cost_ns = 0;
  // The value is computed again whatever its size, its cost and the policy: a checkpointed region owns it.
  bool always = false;
};

}  // namespace tierlib

#endif  // TIERLIB_RECOMPUTE_H_
