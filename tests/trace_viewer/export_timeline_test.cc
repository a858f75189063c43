// tierlib-trace export --format perfetto and chrome: read back by protoc and by a JSON parser, and what they hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "trace/check/conservation.h"
#include "trace/merged_file.h"
#include "trace/summary.h"
#include "trace/trace_writer.h"
#include "trace_viewer/message_text.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Trace;

// What we rely on of perfetto/trace/trace_packet.proto and the files that it includes.
constexpr const char* kProto = R"(syntax = "proto2";
message Trace { repeated TracePacket packet = 1; }
message TracePacket {
  optional uint64 timestamp = 8;
  optional uint32 trusted_packet_sequence_id = 10;
  optional TrackEvent track_event = 11;
  optional InternedData interned_data = 12;
  optional uint32 sequence_flags = 13;
  optional TrackDescriptor track_descriptor = 60;
  optional bool first_packet_on_sequence = 87;
}
message TrackDescriptor {
  optional uint64 uuid = 1;
  optional string name = 2;
  optional ProcessDescriptor process = 3;
  optional uint64 parent_uuid = 5;
  optional CounterDescriptor counter = 8;
}
message ProcessDescriptor { optional int32 pid = 1; optional string process_name = 6; }
message CounterDescriptor {
  enum Unit { UNIT_UNSPECIFIED = 0; UNIT_TIME_NS = 1; UNIT_COUNT = 2; UNIT_SIZE_BYTES = 3; }
  optional Unit unit = 3;
}
message TrackEvent {
  enum Type { TYPE_UNSPECIFIED = 0; TYPE_SLICE_BEGIN = 1; TYPE_SLICE_END = 2; TYPE_INSTANT = 3; TYPE_COUNTER = 4; }
  repeated uint64 category_iids = 3;
  repeated DebugAnnotation debug_annotations = 4;
  optional Type type = 9;
  optional uint64 name_iid = 10;
  optional uint64 track_uuid = 11;
  optional int64 counter_value = 30;
  repeated fixed64 flow_ids = 47;
  repeated fixed64 terminating_flow_ids = 48;
}
message InternedData {
  repeated Name event_categories = 1;
  repeated Name event_names = 2;
  repeated Name debug_annotation_names = 3;
}
message Name { optional uint64 iid = 1; optional string name = 2; }
message DebugAnnotation {
  optional uint64 name_iid = 1;
  optional uint64 uint_value = 3;
  optional int64 int_value = 4;
  optional double double_value = 5;
  optional string string_value = 6;
}
)";

Trace Recorded(int rank = 0) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt", {.rank = rank});
  return std::move(trace::ReadTraceFile(folder / "run.tlt")).value();
}

std::string Export(const std::string& format, const std::string& file_bytes, int exit_code = 0) {
  TemporaryFolder folder;
  WriteWhole(folder / "run.tlt", file_bytes);
  const Ran ran = RunTrace({"export", "--format", format, folder / "run.tlt", "-o", folder / "out"});
  EXPECT_EQ(ran.exit_code, exit_code) << ran.errors;
  return ReadWhole(folder / "out");
}

MessageText Decode(const std::string& bytes) {
  TemporaryFolder folder;
  WriteWhole(folder / "trace.proto", kProto);
  WriteWhole(folder / "trace.bin", bytes);
  const Ran ran =
      RunProgramAt(TIERLIB_PROTOC, {"--decode=Trace", "-I", folder.path(), "trace.proto"}, folder / "trace.bin");
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "");
  return MessageText::Parse(ran.out);
}

// A trace of Perfetto's, taken apart: each event with the names that its numbers stand for.
struct PerfettoEvent {
  std::uint64_t time_ns = 0;
  std::string type;
  std::uint64_t track = 0;
  std::string name;
  const MessageText* event = nullptr;
};
struct PerfettoContent {
  MessageText message;
  std::map<std::uint64_t, const MessageText*> tracks;  // by uuid
  std::vector<PerfettoEvent> events;

  std::string TrackName(std::uint64_t uuid) const { return tracks.at(uuid)->operator[]("name").text(); }
};

PerfettoContent Understand(const std::string& bytes) {
  PerfettoContent content;
  content.message = Decode(bytes);
  EXPECT_EQ(content.message.UnknownFields(), std::vector<std::string>());
  std::map<std::uint64_t, std::string> names;
  for (const MessageText* packet : content.message.All("packet")) {
    EXPECT_EQ((*packet)["trusted_packet_sequence_id"].number(), 1u);
    if (packet->Has("track_descriptor")) {
      const MessageText& track = (*packet)["track_descriptor"];
      EXPECT_TRUE(content.tracks.emplace(track["uuid"].number(), &track).second) << "two tracks with one uuid";
      if (track.Has("parent_uuid")) {
        EXPECT_EQ(content.tracks.count(track["parent_uuid"].number()), 1u);
      }
    }
    for (const MessageText* name : (*packet)["interned_data"].All("event_names")) {
      EXPECT_TRUE(names.emplace((*name)["iid"].number(), (*name)["name"].text()).second);
    }
    if (!packet->Has("track_event")) continue;
    const MessageText& event = (*packet)["track_event"];
    PerfettoEvent one{(*packet)["timestamp"].number(), event["type"].text(), event["track_uuid"].number(), "", &event};
    EXPECT_EQ(content.tracks.count(one.track), 1u) << "an event on no track";
    if (event.Has("name_iid")) {
      EXPECT_EQ(names.count(event["name_iid"].number()), 1u) << "a name that was not interned";
      one.name = names[event["name_iid"].number()];
    }
    content.events.push_back(one);
  }
  return content;
}

class Perfetto : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(TIERLIB_PROTOC).empty()) GTEST_SKIP() << "no protoc: install protobuf-compiler";
  }
};

TEST_F(Perfetto, DecodesWithoutUnknownFieldsAndNests) {
  const Trace trace = Recorded();
  const PerfettoContent content = Understand(Export("perfetto", trace::EncodeTrace(trace)));
  std::map<std::uint64_t, std::vector<std::string>> open;  // slices of each track
  std::map<std::string, std::size_t> slices;               // by the track's name without its number
  std::uint64_t last_ns = 0;
  for (const PerfettoEvent& event : content.events) {
    EXPECT_GE(event.time_ns, last_ns);
    last_ns = event.time_ns;
    if (event.type == "TYPE_SLICE_BEGIN") {
      open[event.track].push_back(event.name);
      const std::string name = content.TrackName(event.track);
      ++slices[name.substr(1, std::min(name.find(" ("), name.size() - 1) - 1)];
      const bool steps = name == "\"steps\"";
      EXPECT_LE(open[event.track].size(), steps ? 2u : 1u) << name;
    } else if (event.type == "TYPE_SLICE_END") {
      ASSERT_FALSE(open[event.track].empty()) << "an end without a begin on " << content.TrackName(event.track);
      open[event.track].pop_back();
    }
  }
  for (const auto& [track, names] : open) EXPECT_TRUE(names.empty()) << content.TrackName(track);
  const trace::Summary summary = trace::Summarize(trace);
  EXPECT_EQ(slices["steps"], 2 * summary.steps.count);  // and their backward parts
  EXPECT_EQ(slices["copies out"], summary.transfers[0].count);
  EXPECT_EQ(slices["copies in"], summary.transfers[1].count);
  const auto ops = std::count_if(trace.records.begin(), trace.records.end(),
                                 [](const trace::Record& record) { return record.event == trace::Event::kOpEnd; });
  EXPECT_GT(ops, 100);
  std::size_t on_streams = 0;
  for (const auto& [name, count] : slices) {
    if (name.rfind("ops of stream ", 0) == 0) on_streams += count;
  }
  EXPECT_EQ(on_streams, static_cast<std::size_t>(ops));
}

TEST_F(Perfetto, CountersReachThePeaksOfTheSummary) {
  const Trace trace = Recorded();
  const PerfettoContent content = Understand(Export("perfetto", trace::EncodeTrace(trace)));
  std::map<std::string, std::uint64_t> peaks;
  std::map<std::string, std::uint64_t> last;
  for (const PerfettoEvent& event : content.events) {
    if (event.type != "TYPE_COUNTER") continue;
    EXPECT_EQ((*content.tracks.at(event.track))["counter"]["unit"].text(), "UNIT_SIZE_BYTES");
    const std::string name = content.TrackName(event.track);
    last[name] = (*event.event)["counter_value"].number();
    peaks[name] = std::max(peaks[name], last[name]);
  }
  const trace::Summary summary = trace::Summarize(trace);
  ASSERT_GE(summary.tiers.size(), 2u);
  for (const trace::TierSummary& tier : summary.tiers) {
    const std::string name = std::string("\"") + trace::TierCodeName(tier.tier) + " live\"";
    EXPECT_EQ(peaks[name], tier.peak_bytes) << name;
    EXPECT_EQ(last[name], tier.live_at_end) << name;
  }
}

TEST_F(Perfetto, FlowsLeadFromCopiesToTheStallsThatTheyEnded) {
  const PerfettoContent content = Understand(Export("perfetto", trace::EncodeTrace(Recorded())));
  std::map<std::uint64_t, std::uint64_t> begun;  // flow: time
  std::set<std::uint64_t> ended;
  for (const PerfettoEvent& event : content.events) {
    const std::string track = content.TrackName(event.track);
    for (const MessageText* flow : event.event->All("flow_ids")) {
      EXPECT_TRUE(begun.emplace(flow->number(), event.time_ns).second) << "a flow with two sources";
      EXPECT_EQ(event.type, "TYPE_SLICE_END");
      EXPECT_EQ(track.find("\"copies "), 0u) << track;
    }
    for (const MessageText* flow : event.event->All("terminating_flow_ids")) {
      EXPECT_TRUE(ended.insert(flow->number()).second) << "a flow that forks";
      EXPECT_EQ(begun.count(flow->number()), 1u) << "a flow that ends before it begins";
      EXPECT_EQ(track.find("\"waits of stream "), 0u) << track;
    }
  }
  EXPECT_GT(begun.size(), 3u);
  EXPECT_EQ(begun.size(), ended.size());
}

TEST_F(Perfetto, RanksOfAMergedFileAreProcesses) {
  const std::string zero = trace::EncodeTrace(Recorded(0));
  const std::string one = trace::EncodeTrace(Recorded(1));
  const PerfettoContent content = Understand(Export("perfetto", trace::MergeTraces({{0, zero}, {1, one}})));
  std::set<std::string> processes;
  std::set<std::uint64_t> ids;
  for (const auto& [uuid, track] : content.tracks) {
    if (!track->Has("process")) continue;
    processes.insert((*track)["process"]["process_name"].text());
    ids.insert((*track)["process"]["pid"].number());
  }
  EXPECT_EQ(processes, (std::set<std::string>{"\"tierlib rank 0, emulated:0\"", "\"tierlib rank 1, emulated:0\""}));
  EXPECT_EQ(ids.size(), 2u);
}

Trace WithHostileLabels() {
  Trace trace = Recorded();
  int number = 0;
  for (auto& [label, text] : trace.labels) {
    text = "\"</script>\\\x1b[2J\n\xff\xc3(\xe2\x80\xae" + std::to_string(number++ % 7);
  }
  return trace;
}

TEST_F(Perfetto, LabelsOfAnyBytesStayText) {
  const PerfettoContent content = Understand(Export("perfetto", trace::EncodeTrace(WithHostileLabels())));
  EXPECT_GT(content.events.size(), 100u);
}

// --- Chrome ---

TEST(Chrome, ParsesAndNests) {
  const Trace trace = Recorded();
  const nlohmann::json json = nlohmann::json::parse(Export("chrome", trace::EncodeTrace(trace)));
  const trace::Summary summary = trace::Summarize(trace);
  std::map<std::pair<int, int>, std::string> threads;
  std::map<std::string, std::size_t> slices;
  std::map<std::string, std::uint64_t> peaks;
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> spans;
  std::map<int, double> begun;
  std::size_t ended = 0;
  for (const nlohmann::json& event : json["traceEvents"]) {
    const std::string phase = event["ph"];
    const std::pair<int, int> thread = {event["pid"], event["tid"]};
    if (phase == "M" && event["name"] == "thread_name") threads[thread] = event["args"]["name"];
    if (phase == "X") {
      ++slices[threads.at(thread)];
      EXPECT_GE(event["dur"].get<double>(), 0);
      spans[thread].emplace_back(event["ts"], event["ts"].get<double>() + event["dur"].get<double>());
    }
    if (phase == "C")
      peaks[event["name"]] = std::max(peaks[event["name"]], event["args"]["bytes"].get<std::uint64_t>());
    if (phase == "s") {
      EXPECT_TRUE(begun.emplace(event["id"], event["ts"]).second);
    }
    if (phase == "f") {
      EXPECT_GE(event["ts"].get<double>(), begun.at(event["id"]));
      ++ended;
    }
  }
  EXPECT_EQ(slices["steps"], 2 * summary.steps.count);
  EXPECT_GE(slices["copies out"], 1u);
  EXPECT_EQ(peaks["device live"], summary.tiers[0].peak_bytes);
  EXPECT_EQ(begun.size(), ended);
  EXPECT_GT(ended, 3u);
  for (auto& [thread, list] : spans) {  // each two lie apart or one within the other; a nanosecond is 0.001
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    std::vector<double> open;
    for (const auto& [begin, end] : list) {
      while (!open.empty() && open.back() <= begin + 0.0005) open.pop_back();
      if (!open.empty()) {
        EXPECT_LE(end, open.back() + 0.0005) << threads[thread];
      }
      open.push_back(end);
    }
  }
}

TEST(Chrome, LabelsOfAnyBytesStayText) {
  const nlohmann::json json = nlohmann::json::parse(Export("chrome", trace::EncodeTrace(WithHostileLabels())));
  EXPECT_GT(json["traceEvents"].size(), 100u);
}

TEST(Chrome, ATraceWithoutRecordsHasNoEventsButItsName) {
  const nlohmann::json json = nlohmann::json::parse(Export("chrome", trace::EncodeTrace(Trace()), /*exit_code=*/4));
  ASSERT_EQ(json["traceEvents"].size(), 1u);
  EXPECT_EQ(json["traceEvents"][0]["name"], "process_name");
}

TEST(ExportCommand, TruncatedInputIsUsedAndPartsThatNeverEndAreMarked) {
  Trace trace = Recorded();
  trace.closed = false;
  const auto begin = std::find_if(trace.records.begin(), trace.records.end(), [](const trace::Record& record) {
    return record.event == trace::Event::kTransferBegin;
  });
  trace.records.resize(static_cast<std::size_t>(begin - trace.records.begin()) + 1);
  const std::string chrome = Export("chrome", trace::EncodeTrace(trace), /*exit_code=*/4);
  EXPECT_NE(chrome.find("\"never_ended\":1"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(chrome));
}

// Each stream has a track of its own; ops of a trace from before streams were in it are on one without.
TEST(ExportChrome, OpsAreOnTheTrackOfTheirStream) {
  Trace trace;
  trace.closed = true;
  const std::vector<std::uint64_t> streams = {0, 3, 5, 3};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto ns = static_cast<std::int64_t>(i * 1000);
    trace.records.push_back({ns, trace::Event::kOpBegin, trace::Tag::kNone, 0, 0, i, streams[i]});
    trace.records.push_back({ns + 500, trace::Event::kOpEnd, trace::Tag::kNone, 0, 0, i, streams[i]});
  }
  trace.records.push_back({9000, trace::Event::kOpBegin, trace::Tag::kNone, 0, 0, 9, 5});  // and never ends
  const nlohmann::json json = nlohmann::json::parse(Export("chrome", trace::EncodeTrace(trace)));
  std::map<int, std::string> threads;
  std::map<std::string, int> slices;
  for (const nlohmann::json& event : json["traceEvents"]) {
    if (event["ph"] == "M" && event["name"] == "thread_name") threads[event["tid"]] = event["args"]["name"];
    if (event["ph"] == "X") ++slices[threads.at(event["tid"])];
  }
  EXPECT_EQ(slices, (std::map<std::string, int>{{"ops", 1}, {"ops of stream 3", 2}, {"ops of stream 5", 2}}));
}

// A copy that was refused is no slice, and is told; the trace adds up.
TEST(ExportChrome, TellsOfACopyThatFailed) {
  Trace trace;
  trace.closed = true;
  const auto add = [&](std::int64_t us, trace::Event event, std::uint64_t subject, std::uint64_t value) {
    trace.records.push_back({us * 1000, event, trace::Tag::kSaved, 0, 0, subject, value});
  };
  add(1, trace::Event::kStorageRegister, 9, 512);
  add(2, trace::Event::kTransferStorage, 4, 9);
  add(2, trace::Event::kTransferAsk, 4, 512);
  add(3, trace::Event::kTransferEnd, 4, 0);
  add(4, trace::Event::kStorageRetire, 9, 512);
  EXPECT_EQ(trace::CheckConservation(trace).finding_count, 0u);
  const nlohmann::json json = nlohmann::json::parse(Export("chrome", trace::EncodeTrace(trace)));
  int instants = 0;
  for (const nlohmann::json& event : json["traceEvents"]) {
    EXPECT_NE(event["ph"], "X") << event;
    if (event["ph"] != "i") continue;
    ++instants;
    EXPECT_EQ(event["name"], "a copy out failed");
    EXPECT_EQ(event["ts"], 3.0);
  }
  EXPECT_EQ(instants, 1);
}

}  // namespace
}  // namespace tierlib::trace_viewer
