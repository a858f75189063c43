#include "allocator/emulated/graphs.h"

#include <string>
#include <utility>

namespace tierlib::emulated {
namespace {

struct Enqueued {
  StreamHandle stream = 0;
  Work work;
};

// Turns the recordings of a capture into those of one launch.
class Recordings {
 public:
  RecordingRef Of(const RecordingRef& captured) {
    RecordingRef& launched = launched_[captured.get()];
    if (launched == nullptr) launched = std::make_shared<Recording>();
    return launched;
  }

 private:
  absl::flat_hash_map<const Recording*, RecordingRef> launched_;
};

// All that one launch enqueues, in an order in which each recording comes before the waits for it.
std::vector<Enqueued> WorkOfLaunch(const Graph& graph, const std::vector<StreamHandle>& streams, StreamHandle stream) {
  std::vector<Enqueued> all;
  all.reserve(graph.items.size() + 3 * streams.size() + 1);
  const auto begin = std::make_shared<Recording>();
  all.push_back({stream, RecordWork{begin}});
  for (const StreamHandle lane : streams) all.push_back({lane, WaitWork{begin}});
  Recordings recordings;
  for (const Graph::Item& item : graph.items) {
    const StreamHandle lane = streams[item.lane];
    if (const auto* record = std::get_if<RecordWork>(&item.work)) {
      all.push_back({lane, RecordWork{recordings.Of(record->recording)}});
    } else if (const auto* wait = std::get_if<WaitWork>(&item.work)) {
      all.push_back({lane, WaitWork{recordings.Of(wait->recording)}});
    } else {
      all.push_back({lane, item.work});
    }
  }
  for (const StreamHandle lane : streams) {
    const auto end = std::make_shared<Recording>();
    all.push_back({lane, RecordWork{end}});
    all.push_back({stream, WaitWork{end}});
  }
  return all;
}

}  // namespace

StatusOr<GraphId> Graphs::Add(Graph graph, std::vector<StreamHandle> streams, Schedule& schedule) {
  auto known = std::make_shared<Known>();
  known->graph = std::move(graph);
  known->streams = std::move(streams);
  Status added;
  std::size_t count = 0;
  for (; added.ok() && count < known->streams.size(); ++count) {
    added = schedule.AddStream(known->streams[count], "graph");
  }
  if (!added.ok()) {
    for (std::size_t i = 0; i + 1 < count; ++i) (void)schedule.RemoveStream(known->streams[i]);
    return added;
  }
  MutexLock lock(mutex_);
  graphs_[next_] = std::move(known);
  return next_++;
}

StatusOr<std::array<std::uint64_t, 3>> Graphs::Launch(GraphId graph, StreamHandle stream, Schedule& schedule) {
  TIERLIB_ASSIGN_OR_RETURN(const std::shared_ptr<Known> known, Find(graph));
  std::vector<Enqueued> all = WorkOfLaunch(known->graph, known->streams, stream);
  MutexLock lock(known->launching);
  for (Enqueued& one : all) TIERLIB_RETURN_IF_ERROR(schedule.Enqueue(one.stream, std::move(one.work)));
  return known->graph.copied;
}

Status Graphs::Remove(GraphId graph, Schedule& schedule) {
  TIERLIB_ASSIGN_OR_RETURN(const std::shared_ptr<Known> known, Find(graph));
  {
    MutexLock lock(mutex_);
    if (graphs_.erase(graph) == 0) return OkStatus();  // another thread did it
  }
  Status first;
  for (const StreamHandle lane : known->streams) {
    const Status removed = schedule.RemoveStream(lane);
    if (first.ok()) first = removed;
  }
  return first;
}

StatusOr<std::shared_ptr<Graphs::Known>> Graphs::Find(GraphId graph) const {
  MutexLock lock(mutex_);
  const auto found = graphs_.find(graph);
  if (found != graphs_.end()) return std::shared_ptr<Known>(found->second);
  return InvalidArgumentError("graph " + std::to_string(graph) + " does not exist: it is what EndCapture returns");
}

}  // namespace tierlib::emulated
