// Graphs: what an emulated device captured and may launch. Each graph has streams of its own, one for every stream that
// was in its capture: launches of one graph follow each other, and the schedule orders the rest as it pleases.
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_GRAPHS_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_GRAPHS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "allocator/emulated/captures.h"
#include "allocator/emulated/schedule.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class Graphs {
 public:
  // `streams`: one for each lane, which no one else uses; the schedule gets them. On an error it has none of them.
  StatusOr<GraphId> Add(Graph graph, std::vector<StreamHandle> streams, Schedule& schedule);
  // Enqueues the graph's work after that of `stream` so far, and makes `stream` wait for it. The bytes that it copies,
  // by CopyDirection. InvalidArgument for an unknown graph. An error of any other kind may leave a part of it enqueued.
  StatusOr<std::array<std::uint64_t, 3>> Launch(GraphId graph, StreamHandle stream, Schedule& schedule);
  // Runs what was launched.
  Status Remove(GraphId graph, Schedule& schedule);

 private:
  struct Known {
    Graph graph;
    std::vector<StreamHandle> streams;
    Mutex launching;  // work of two launches does not mix
  };
  StatusOr<std::shared_ptr<Known>> Find(GraphId graph) const;

  mutable Mutex mutex_;
  GraphId next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<GraphId, std::shared_ptr<Known>> graphs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_GRAPHS_H_
