#include "allocator/race_graphs.h"

#include <utility>

namespace tierlib {

void RaceGraphs::Begin(Stream stream) {
  captures_[stream.handle].handles = {stream.handle};
  streams_[stream.handle] = {stream.handle, 0};
}

void RaceGraphs::End(RaceCheck& check, Stream stream, GraphId graph) {
  const auto found = captures_.find(stream.handle);
  if (found == captures_.end()) return;
  Log log = std::move(found->second);
  captures_.erase(found);
  for (const std::uintptr_t handle : log.handles) streams_.erase(handle);
  absl::erase_if(events_, [&](const auto& one) { return one.second.capture == stream.handle; });
  if (graph == 0) return;
  for (std::size_t lane = 0; lane < log.handles.size(); ++lane) {
    log.streams.push_back({stream.device, static_cast<std::uintptr_t>(next_++)});
    check.StreamBegins(log.streams.back(), "of a graph");
  }
  graphs_[graph] = std::move(log);
}

RaceGraphs::Step* RaceGraphs::Add(Stream stream, Step::Kind kind) {
  const auto place = streams_.find(stream.handle);
  if (place == streams_.end()) return nullptr;
  std::vector<Step>& steps = captures_[place->second.capture].steps;
  steps.emplace_back();
  steps.back().kind = kind;
  steps.back().lane = place->second.lane;
  return &steps.back();
}

bool RaceGraphs::Work(Stream stream, race::Name name, absl::Span<const Access> accesses) {
  Step* const step = Add(stream, Step::Kind::kWork);
  if (step == nullptr) return false;
  step->name = name;
  step->accesses.assign(accesses.begin(), accesses.end());
  return true;
}

bool RaceGraphs::Recorded(EventId event, Stream stream) {
  Step* const step = Add(stream, Step::Kind::kRecord);
  if (step == nullptr) {
    events_.erase(event);
    return false;
  }
  step->event = next_++;
  events_[event] = {streams_[stream.handle].capture, step->event};
  return true;
}

bool RaceGraphs::Waits(Stream stream, EventId event) {
  const auto captured = events_.find(event);
  if (captured == events_.end()) return streams_.contains(stream.handle);
  const CapturedEvent& from = captured->second;
  if (!streams_.contains(stream.handle)) {
    Log& log = captures_[from.capture];
    streams_[stream.handle] = {from.capture, log.handles.size()};
    log.handles.push_back(stream.handle);
  }
  Add(stream, Step::Kind::kWait)->event = from.event;
  return true;
}

void RaceGraphs::Launch(RaceCheck& check, GraphId graph, Stream stream) {
  const auto found = graphs_.find(graph);
  if (found == graphs_.end()) return;
  const Log& log = found->second;
  const EventId edge = next_++;
  check.Recorded(edge, stream);
  for (const Stream& own : log.streams) check.Waits(own, edge);
  for (const Step& step : log.steps) {
    switch (step.kind) {
      case Step::Kind::kWork: check.Work(log.streams[step.lane], step.name, step.accesses); break;
      case Step::Kind::kRecord: check.Recorded(step.event, log.streams[step.lane]); break;
      case Step::Kind::kWait: check.Waits(log.streams[step.lane], step.event); break;
    }
  }
  for (const Stream& own : log.streams) {
    check.Recorded(edge, own);
    check.Waits(stream, edge);
  }
  check.Destroyed(edge);
  for (const Step& step : log.steps) {
    if (step.kind == Step::Kind::kRecord) check.Destroyed(step.event);
  }
}

void RaceGraphs::Destroy(RaceCheck& check, GraphId graph) {
  const auto found = graphs_.find(graph);
  if (found == graphs_.end()) return;
  for (const Stream& own : found->second.streams) check.StreamEnded(own);
  graphs_.erase(found);
}

}  // namespace tierlib
