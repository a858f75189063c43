#include "allocator/emulated/captures.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tierlib::emulated {

bool Captures::Has(StreamHandle stream) const {
  if (!any()) return false;
  MutexLock lock(mutex_);
  return streams_.contains(stream);
}

Status Captures::Refuse(const char* call, StreamHandle stream) const {
  if (!Has(stream)) return OkStatus();
  return FailedPreconditionError(absl::StrCat(call, ": stream ", stream, " is in a capture"));
}

Status Captures::Begin(StreamHandle stream) {
  MutexLock lock(mutex_);
  if (streams_.contains(stream)) {
    return FailedPreconditionError(absl::StrCat("BeginCapture: stream ", stream, " is in a capture already"));
  }
  Capture& capture = captures_[next_];
  capture.lanes.push_back({stream, 0, {}});
  streams_[stream] = {next_++, 0};
  count_.fetch_add(1, std::memory_order_release);
  return OkStatus();
}

StatusOr<Graph> Captures::End(StreamHandle stream) {
  MutexLock lock(mutex_);
  const auto place = streams_.find(stream);
  if (place == streams_.end() || place->second.lane != 0) {
    return FailedPreconditionError(absl::StrCat("EndCapture: stream ", stream, " has begun no capture"));
  }
  const auto ended = captures_.find(place->second.capture);
  Capture capture = std::move(ended->second);
  captures_.erase(ended);
  for (const Lane& lane : capture.lanes) streams_.erase(lane.stream);
  count_.fetch_sub(1, std::memory_order_release);
  Clock first = capture.lanes.front().clock;
  first.resize(capture.lanes.size(), 0);
  for (std::size_t i = 1; i < capture.lanes.size(); ++i) {
    if (first[i] >= capture.lanes[i].work) continue;
    return FailedPreconditionError(absl::StrCat("EndCapture: stream ", capture.lanes[i].stream,
                                                " joined the capture, and stream ", stream,
                                                " does not wait for its work"));
  }
  capture.graph.lanes = capture.lanes.size();
  return std::move(capture.graph);
}

bool Captures::Add(StreamHandle stream, Work& work) {
  if (!any()) return false;
  MutexLock lock(mutex_);
  const auto place = streams_.find(stream);
  if (place == streams_.end()) return false;
  const std::size_t index = place->second.lane;
  Capture& capture = captures_[place->second.capture];
  Lane& lane = capture.lanes[index];
  if (lane.clock.size() <= index) lane.clock.resize(index + 1, 0);
  if (const auto* copy = std::get_if<CopyWork>(&work)) {
    capture.graph.copied[static_cast<std::size_t>(copy->direction)] += copy->bytes;
  }
  capture.graph.items.push_back({index, std::move(work)});
  lane.clock[index] = ++lane.work;
  return true;
}

RecordingRef Captures::Record(StreamHandle stream) {
  if (!any()) return nullptr;
  MutexLock lock(mutex_);
  const auto place = streams_.find(stream);
  if (place == streams_.end()) return nullptr;
  Capture& capture = captures_[place->second.capture];
  auto recording = std::make_shared<Recording>(place->second.capture);
  capture.recordings[recording.get()] = capture.lanes[place->second.lane].clock;
  capture.graph.items.push_back({place->second.lane, RecordWork{recording}});
  return recording;
}

StatusOr<bool> Captures::Wait(StreamHandle stream, const RecordingRef& recording) {
  const std::uint64_t from = recording == nullptr ? 0 : recording->capture();
  if (!any() && from == 0) return false;
  MutexLock lock(mutex_);
  const auto known = streams_.find(stream);
  if (known == streams_.end() && from == 0) return false;
  if (from == 0 && recording == nullptr) return true;  // never recorded: nothing to wait for
  if (known != streams_.end() && known->second.capture != from) {
    return FailedPreconditionError(
        absl::StrCat("WaitEvent: stream ", stream, " is in a capture, and the event was not recorded in it"));
  }
  const auto found = captures_.find(from);
  if (found == captures_.end()) {
    return FailedPreconditionError("WaitEvent: the event was recorded in a capture that has ended");
  }
  Capture& capture = found->second;
  Place place = {from, capture.lanes.size()};
  if (known == streams_.end()) {
    capture.lanes.push_back({stream, 0, {}});
    streams_[stream] = place;
  } else {
    place = known->second;
  }
  Join(capture.lanes[place.lane].clock, capture.recordings[recording.get()]);
  capture.graph.items.push_back({place.lane, WaitWork{recording}});
  return true;
}

void Captures::Join(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

}  // namespace tierlib::emulated
