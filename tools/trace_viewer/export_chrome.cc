// The trace event format of Chrome, as JSON: times in microseconds, each timeline a process and each track a thread.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "export_command.h"

namespace tierlib::trace_viewer {
namespace {

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// "12.345": exact, where a double would round late times.
std::string Microseconds(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%" PRIu64 ".%03u", ns / 1000, static_cast<unsigned>(ns % 1000));
  return text;
}

class ChromeWriter {
 public:
  std::string Write(const std::vector<Timeline>& timelines) && {
    json_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
    for (std::size_t i = 0; i < timelines.size(); ++i) WriteTimeline(timelines[i], i);
    json_ += "\n]}\n";
    return std::move(json_);
  }

 private:
  // The fields that every event has.
  void Event(const char* phase, const std::string& name, std::size_t process, std::size_t thread) {
    json_ += json_.back() == '[' ? "\n{\"ph\":\"" : ",\n{\"ph\":\"";
    json_ += phase;
    json_ +=
        "\",\"name\":" + Quoted(name) + ",\"pid\":" + std::to_string(process) + ",\"tid\":" + std::to_string(thread);
  }
  void Time(const char* key, std::uint64_t ns) { json_ += ",\"" + std::string(key) + "\":" + Microseconds(ns); }

  void Arguments(const std::vector<TimelineArgument>& arguments) {
    json_ += ",\"args\":{";
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const TimelineArgument& argument = arguments[i];
      json_ += (i == 0 ? "\"" : ",\"") + std::string(argument.key) +
               "\":" + (argument.text.empty() ? std::to_string(argument.number) : Quoted(argument.text));
    }
    json_ += "}}";
  }

  void Named(const char* what, const std::string& name, std::size_t process, std::size_t thread) {
    Event("M", what, process, thread);
    json_ += ",\"args\":{\"name\":" + Quoted(name) + "}}";
  }

  void WriteTimeline(const Timeline& timeline, std::size_t number) {
    const std::size_t process = number + 1;
    Named("process_name", "tierlib " + timeline.name, process, 0);
    for (std::size_t i = 0; i < timeline.tracks.size(); ++i) {
      const TimelineTrack& track = timeline.tracks[i];
      Named("thread_name", track.name, process, i + 1);
      for (const Slice& slice : track.slices) WriteSlice(slice, track.category, process, i + 1);
      for (const TimelineInstant& instant : track.instants) {
        Event("i", instant.name, process, i + 1);
        Time("ts", instant.time_ns);
        json_ += std::string(",\"s\":\"t\",\"cat\":\"") + track.category + '"';
        Arguments(instant.arguments);
      }
    }
    for (const TimelineCounter& counter : timeline.counters) {
      for (const auto& [time_ns, bytes] : counter.samples) {
        Event("C", counter.name, process, 0);
        Time("ts", time_ns);
        json_ += ",\"args\":{\"bytes\":" + std::to_string(bytes) + "}}";
      }
    }
  }

  void WriteSlice(const Slice& slice, const char* category, std::size_t process, std::size_t thread) {
    Event("X", slice.name, process, thread);
    Time("ts", slice.begin_ns);
    Time("dur", slice.end_ns - slice.begin_ns);
    json_ += std::string(",\"cat\":\"") + category + '"';
    Arguments(slice.arguments);
    if (slice.flow_out != 0) Flow("s", slice, slice.flow_out, process, thread);
    for (const std::uint64_t flow : slice.flows_in) Flow("f", slice, flow, process, thread);
  }

  // Within the slice, just before its end: flows belong to the slice that they lie in.
  void Flow(const char* phase, const Slice& slice, std::uint64_t flow, std::size_t process, std::size_t thread) {
    Event(phase, "waited for", process, thread);
    Time("ts", slice.end_ns > slice.begin_ns ? slice.end_ns - 1 : slice.end_ns);
    json_ += ",\"cat\":\"flow\",\"bp\":\"e\",\"id\":" + std::to_string(flow) + '}';
  }

  std::string json_;
};

}  // namespace

std::string ChromeTrace(const std::vector<Timeline>& timelines) { return ChromeWriter().Write(timelines); }

}  // namespace tierlib::trace_viewer
