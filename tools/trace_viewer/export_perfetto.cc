// The wire format of Perfetto's traces: the field numbers of perfetto/trace/trace_packet.proto and what it includes.
#include <algorithm>
#include <map>
#include <utility>

#include "export_command.h"
#include "proto_writer.h"

namespace tierlib::trace_viewer {
namespace {

namespace trace_field {
constexpr std::uint32_t kPacket = 1;
}
namespace packet_field {
constexpr std::uint32_t kTimestamp = 8, kSequenceId = 10, kTrackEvent = 11, kInternedData = 12, kSequenceFlags = 13,
                        kTrackDescriptor = 60, kFirstOnSequence = 87;
}
namespace descriptor_field {
constexpr std::uint32_t kUuid = 1, kName = 2, kProcess = 3, kParentUuid = 5, kCounter = 8;
constexpr std::uint32_t kPid = 1, kProcessName = 6;  // of a process
constexpr std::uint32_t kUnit = 3;                   // of a counter
}  // namespace descriptor_field
namespace event_field {
constexpr std::uint32_t kCategoryIids = 3, kDebugAnnotations = 4, kType = 9, kNameIid = 10, kTrackUuid = 11,
                        kCounterValue = 30, kFlowIds = 47, kTerminatingFlowIds = 48;
constexpr std::uint32_t kAnnotationNameIid = 1, kAnnotationUint = 3, kAnnotationText = 6;
}  // namespace event_field
namespace interned_field {
constexpr std::uint32_t kCategories = 1, kEventNames = 2, kAnnotationNames = 3;
constexpr std::uint32_t kIid = 1, kName = 2;
}  // namespace interned_field

constexpr std::uint64_t kSequence = 1;
constexpr std::uint64_t kStateCleared = 1;  // sequence_flags: names are interned from here on,
constexpr std::uint64_t kStateNeeded = 2;   // and a packet that names one needs what was interned before
constexpr std::uint64_t kUnitBytes = 3;

enum class EventType : std::uint8_t { kBegin = 1, kEnd = 2, kInstant = 3, kCounter = 4 };

// One event, to be sorted by time. Slices and instants are those of their track.
struct TimedEvent {
  std::uint64_t time_ns = 0;
  EventType type = EventType::kInstant;
  std::uint32_t timeline = 0;
  std::uint32_t track = 0;  // or counter
  std::uint32_t index = 0;  // of the slice, instant or sample
};

class PerfettoWriter {
 public:
  explicit PerfettoWriter(const std::vector<Timeline>& timelines) : timelines_(timelines) {}

  std::string Write() && {
    Begin();
    for (std::uint32_t i = 0; i < timelines_.size(); ++i) Describe(i);
    for (const TimedEvent& event : SortedEvents()) Write(event);
    return std::move(file_);
  }

 private:
  // Each timeline has 2^32 numbers: 0 for its process, then its tracks, then its counters.
  static std::uint64_t Uuid(std::uint32_t timeline, std::size_t track) {
    return (std::uint64_t{timeline} + 1) << 32 | track;
  }
  std::uint64_t TrackUuid(const TimedEvent& event) const {
    const std::size_t tracks = timelines_[event.timeline].tracks.size();
    return Uuid(event.timeline, 1 + event.track + (event.type == EventType::kCounter ? tracks : 0));
  }

  void Packet(const ProtoWriter& packet) {
    ProtoWriter framed;
    framed.Message(trace_field::kPacket, packet);
    file_ += framed.bytes();
  }

  void Begin() {
    ProtoWriter packet;
    packet.Varint(packet_field::kSequenceId, kSequence);
    packet.Varint(packet_field::kSequenceFlags, kStateCleared);
    packet.Varint(packet_field::kFirstOnSequence, 1);
    Packet(packet);
  }

  void Describe(std::uint32_t number) {
    const Timeline& timeline = timelines_[number];
    ProtoWriter process;
    // Ranks of several machines may have one process id: viewers would make them one process.
    const bool alone = std::count_if(timelines_.begin(), timelines_.end(), [&timeline](const Timeline& other) {
                         return other.process_id == timeline.process_id;
                       }) == 1;
    process.Varint(descriptor_field::kPid, alone ? timeline.process_id : number + 1);
    process.Text(descriptor_field::kProcessName, "tierlib " + timeline.name);
    ProtoWriter descriptor;
    descriptor.Varint(descriptor_field::kUuid, Uuid(number, 0));
    descriptor.Message(descriptor_field::kProcess, process);
    DescribeTrack(descriptor);
    for (std::size_t i = 0; i < timeline.tracks.size() + timeline.counters.size(); ++i) {
      const bool counts = i >= timeline.tracks.size();
      descriptor.Clear();
      descriptor.Varint(descriptor_field::kUuid, Uuid(number, 1 + i));
      descriptor.Text(descriptor_field::kName,
                      counts ? timeline.counters[i - timeline.tracks.size()].name : timeline.tracks[i].name);
      descriptor.Varint(descriptor_field::kParentUuid, Uuid(number, 0));
      if (counts) {
        ProtoWriter counter;
        counter.Varint(descriptor_field::kUnit, kUnitBytes);
        descriptor.Message(descriptor_field::kCounter, counter);
      }
      DescribeTrack(descriptor);
    }
  }

  void DescribeTrack(const ProtoWriter& descriptor) {
    ProtoWriter packet;
    packet.Varint(packet_field::kSequenceId, kSequence);
    packet.Message(packet_field::kTrackDescriptor, descriptor);
    Packet(packet);
  }

  // Begins and ends of one track stay in the order in which they nest, also at equal times.
  void AddTrack(std::uint32_t timeline, std::uint32_t track, std::vector<TimedEvent>* events) const {
    const TimelineTrack& of = timelines_[timeline].tracks[track];
    std::vector<std::uint32_t> open;
    for (std::uint32_t i = 0; i <= of.slices.size(); ++i) {
      while (!open.empty() && (i == of.slices.size() || of.slices[open.back()].end_ns <= of.slices[i].begin_ns)) {
        events->push_back({of.slices[open.back()].end_ns, EventType::kEnd, timeline, track, open.back()});
        open.pop_back();
      }
      if (i == of.slices.size()) break;
      events->push_back({of.slices[i].begin_ns, EventType::kBegin, timeline, track, i});
      open.push_back(i);
    }
    for (std::uint32_t i = 0; i < of.instants.size(); ++i) {
      events->push_back({of.instants[i].time_ns, EventType::kInstant, timeline, track, i});
    }
  }

  std::vector<TimedEvent> SortedEvents() const {
    std::vector<TimedEvent> events;
    for (std::uint32_t timeline = 0; timeline < timelines_.size(); ++timeline) {
      const Timeline& of = timelines_[timeline];
      for (std::uint32_t track = 0; track < of.tracks.size(); ++track) AddTrack(timeline, track, &events);
      for (std::uint32_t counter = 0; counter < of.counters.size(); ++counter) {
        const auto& samples = of.counters[counter].samples;
        for (std::uint32_t i = 0; i < samples.size(); ++i) {
          events.push_back({samples[i].first, EventType::kCounter, timeline, counter, i});
        }
      }
    }
    std::stable_sort(events.begin(), events.end(),
                     [](const TimedEvent& a, const TimedEvent& b) { return a.time_ns < b.time_ns; });
    return events;
  }

  // A number for the name, which the packet under way tells where it is new.
  std::uint64_t Intern(std::uint32_t kind, const std::string& name) {
    std::map<std::string, std::uint64_t>& known = interned_[kind];
    const auto [found, is_new] = known.try_emplace(name, known.size() + 1);
    if (is_new) {
      ProtoWriter entry;
      entry.Varint(interned_field::kIid, found->second);
      entry.Text(interned_field::kName, name);
      new_names_.Message(kind, entry);
    }
    return found->second;
  }

  void Arguments(const std::vector<TimelineArgument>& arguments, ProtoWriter* event) {
    for (const TimelineArgument& argument : arguments) {
      ProtoWriter annotation;
      annotation.Varint(event_field::kAnnotationNameIid, Intern(interned_field::kAnnotationNames, argument.key));
      if (argument.text.empty()) {
        annotation.Varint(event_field::kAnnotationUint, argument.number);
      } else {
        annotation.Text(event_field::kAnnotationText, argument.text);
      }
      event->Message(event_field::kDebugAnnotations, annotation);
    }
  }

  void Write(const TimedEvent& timed) {
    const Timeline& timeline = timelines_[timed.timeline];
    new_names_.Clear();
    ProtoWriter event;
    event.Varint(event_field::kType, static_cast<std::uint64_t>(timed.type));
    event.Varint(event_field::kTrackUuid, TrackUuid(timed));
    if (timed.type == EventType::kCounter) {
      event.Varint(event_field::kCounterValue, timeline.counters[timed.track].samples[timed.index].second);
    } else if (timed.type != EventType::kEnd) {
      const TimelineTrack& track = timeline.tracks[timed.track];
      const bool slice = timed.type == EventType::kBegin;
      event.Varint(event_field::kCategoryIids, Intern(interned_field::kCategories, track.category));
      event.Varint(event_field::kNameIid,
                   Intern(interned_field::kEventNames,
                          slice ? track.slices[timed.index].name : track.instants[timed.index].name));
      Arguments(slice ? track.slices[timed.index].arguments : track.instants[timed.index].arguments, &event);
    } else {
      Flows(timeline.tracks[timed.track].slices[timed.index], &event);
    }
    ProtoWriter packet;
    packet.Varint(packet_field::kTimestamp, timed.time_ns);
    packet.Varint(packet_field::kSequenceId, kSequence);
    if (!new_names_.bytes().empty()) packet.Message(packet_field::kInternedData, new_names_);
    packet.Varint(packet_field::kSequenceFlags, kStateNeeded);
    packet.Message(packet_field::kTrackEvent, event);
    Packet(packet);
  }

  // On the ends: a stall may begin before the copy that it waits for, and a flow's source must come first.
  static void Flows(const Slice& slice, ProtoWriter* event) {
    if (slice.flow_out != 0) event->Fixed64(event_field::kFlowIds, slice.flow_out);
    for (const std::uint64_t flow : slice.flows_in) event->Fixed64(event_field::kTerminatingFlowIds, flow);
  }

  const std::vector<Timeline>& timelines_;
  std::string file_;
  std::map<std::uint32_t, std::map<std::string, std::uint64_t>> interned_;  // by kind
  ProtoWriter new_names_;                                                   // of the packet under way
};

}  // namespace

std::string PerfettoTrace(const std::vector<Timeline>& timelines) { return PerfettoWriter(timelines).Write(); }

}  // namespace tierlib::trace_viewer
