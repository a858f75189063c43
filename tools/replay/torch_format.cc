// PyTorch's snapshot: a pickled dict whose "device_traces" hold a list of events for each device. Its "segments", which
// say what is there at the end, are not needed.
//
// A block counts as free from "free_completed" on: from then on PyTorch may hand it out again.
#include <algorithm>
#include <limits>
#include <string>

#include "pickle.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kHow = "torch.cuda.memory._record_memory_history() starts the recording";
constexpr std::size_t kFieldsMost = 64;  // of an event; PyTorch writes about ten
constexpr std::uint64_t kTimeMostUs = std::numeric_limits<std::int64_t>::max() / 1000;

// The list of events to read.
StatusOr<const PickleValue*> ChooseDevice(const Pickle& pickle, const PickleValue& traces, std::optional<int> device,
                                          std::size_t* index) {
  const std::vector<PickleValue>& lists = pickle.Items(traces);
  if (device.has_value()) {
    *index = static_cast<std::size_t>(*device);
    if (*index < lists.size()) return &lists[*index];
    return InvalidArgumentError("device " + std::to_string(*device) + " is not in the snapshot, which has " +
                                std::to_string(lists.size()) + " devices");
  }
  const PickleValue* chosen = nullptr;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (pickle.Items(lists[i]).empty()) continue;
    if (chosen != nullptr) {
      return InvalidArgumentError("devices " + std::to_string(*index) + " and " + std::to_string(i) +
                                  " have events: choose one with --device");
    }
    chosen = &lists[i];
    *index = i;
  }
  if (chosen == nullptr) return InvalidArgumentError("no device has events: " + std::string(kHow));
  return chosen;
}

class EventReader {
 public:
  EventReader(const Pickle& pickle, std::size_t device) : pickle_(pickle), device_(device) {}

  Status Add(std::size_t number, const PickleValue& entry, AllocationTrace* trace) {
    number_ = number;
    if (pickle_.Items(entry).size() / 2 > kFieldsMost) return Wrong("an event", "has at most 64 fields");
    const PickleValue* action = pickle_.Find(entry, "action");
    if (action == nullptr || action->kind != Kind::kText) {
      return Wrong("an event", "is a dict whose 'action' is a text");
    }
    AllocationEvent event;
    if (action->IsText("oom")) {
      event.kind = AllocationEvent::Kind::kFailure;
    } else if (action->IsText("free_completed") || action->IsText("free")) {
      event.kind = AllocationEvent::Kind::kFree;
    } else if (!action->IsText("alloc")) {
      return OkStatus();  // free_requested, segments, snapshots, and what later versions add
    }
    TIERLIB_RETURN_IF_ERROR(Integer(entry, "size", /*needed=*/true, &event.bytes));
    TIERLIB_RETURN_IF_ERROR(Integer(entry, "stream", /*needed=*/false, &event.stream));
    if (event.kind != AllocationEvent::Kind::kFailure) {
      TIERLIB_RETURN_IF_ERROR(Integer(entry, "addr", /*needed=*/true, &event.pointer));
      if (event.pointer == 0) {
        ++trace->null_pointers;
        return OkStatus();
      }
    }
    std::uint64_t time_us = 0;
    const PickleValue* const time = pickle_.Find(entry, "time_us");
    if (time != nullptr) TIERLIB_RETURN_IF_ERROR(Integer(entry, "time_us", /*needed=*/false, &time_us));
    timeless_ = timeless_ || time == nullptr;
    trace->events.push_back(event);
    trace->times_ns.push_back(static_cast<std::int64_t>(std::min(time_us, kTimeMostUs) * 1000));
    return OkStatus();
  }

  // An event had no time, as those of PyTorch before 2.2: then none has.
  bool timeless() const { return timeless_; }

 private:
  Status Wrong(std::string_view what, std::string_view right) const {
    return InvalidArgumentError("device_traces[" + std::to_string(device_) + "][" + std::to_string(number_) +
                                "]: " + std::string(what) + " " + std::string(right));
  }

  Status Integer(const PickleValue& entry, std::string_view key, bool needed, std::uint64_t* result) const {
    const PickleValue* value = pickle_.Find(entry, key);
    if (value == nullptr && !needed) return OkStatus();
    if (value == nullptr || value->kind != Kind::kInteger || value->integer < 0) {
      return Wrong("'" + std::string(key) + "'", "should be an integer from 0 to 2^63 - 1");
    }
    *result = static_cast<std::uint64_t>(value->integer);
    return OkStatus();
  }

  const Pickle& pickle_;
  const std::size_t device_;
  std::size_t number_ = 0;
  bool timeless_ = false;
};

}  // namespace

bool IsTorchSnapshot(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

StatusOr<AllocationTrace> ReadTorchSnapshot(std::string_view bytes, const ReadOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Read(bytes));
  const PickleValue* traces = pickle.Find(pickle.root(), "device_traces");
  if (traces == nullptr || traces->kind != Kind::kList) {
    return InvalidArgumentError("a snapshot is a dict with a list 'device_traces': " + std::string(kHow));
  }
  std::size_t device = 0;
  TIERLIB_ASSIGN_OR_RETURN(const PickleValue* const events, ChooseDevice(pickle, *traces, options.device, &device));
  AllocationTrace trace;
  EventReader reader(pickle, device);
  std::size_t number = 0;
  for (const PickleValue& entry : pickle.Items(*events)) {
    TIERLIB_RETURN_IF_ERROR(reader.Add(number++, entry, &trace));
  }
  if (reader.timeless()) trace.times_ns.clear();
  return trace;
}

}  // namespace tierlib::trace_replay
