// Schedule: decides when the work of an emulated device's streams runs. Three kinds, see EmulatedSchedule in options.h.
//
// Whatever the kind: work of one stream runs in the order of Enqueue, and a WaitWork holds its stream back until its
// recording is complete. A recording is waited for only after it was enqueued, so streams cannot wait for each other in
// a circle.
//
// Thread-safety: every function may be called from several threads.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_SCHEDULE_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_SCHEDULE_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "allocator/emulated/arena.h"
#include "allocator/emulated/engines.h"
#include "allocator/emulated/health.h"
#include "allocator/emulated/work.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

using StreamHandle = std::uintptr_t;

class Schedule {
 public:
  // Runs what is enqueued, then ends.
  virtual ~Schedule() = default;
  // REQUIRES: the handle is not in use. ResourceExhausted where a thread cannot be made.
  virtual Status AddStream(StreamHandle stream, std::string_view name) = 0;
  // Runs the stream's work, then removes it. NotFound for an unknown stream, as Enqueue.
  virtual Status RemoveStream(StreamHandle stream) = 0;
  virtual Status Enqueue(StreamHandle stream, Work work) = 0;
  // Blocks until `recording`, which was enqueued, is complete.
  virtual Status WaitFor(const Recording& recording) = 0;
  // Blocks until everything enqueued so far on the stream has run. Needs no memory. NotFound as Enqueue.
  virtual Status WaitForStream(StreamHandle stream) = 0;
  // Blocks until everything enqueued so far, on every stream, has run.
  virtual Status WaitForAll() = 0;
  // The program asked for the state of an event: a schedule without threads may let something happen.
  virtual void Poll() = 0;
};

// NotFound that names the stream.
Status UnknownStream(StreamHandle stream);

std::unique_ptr<Schedule> MakeThreadedSchedule(Engines& engines);
std::unique_ptr<Schedule> MakeDeterministicSchedule(const EmulatedOptions& options, Engines& engines, Arena& arena,
                                                    Health& health);
std::unique_ptr<Schedule> MakeShapeOnlySchedule();

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_SCHEDULE_H_
