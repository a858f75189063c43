// tierlib-trace export: what it writes, read back by tierlib's own readers and by Python.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "allocator/pool_under_test.h"
#include "base/random.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "pickle.h"
#include "trace/reader.h"
#include "trace/recorder.h"
#include "trace_viewer/export_command.h"
#include "trace_viewer/pickle_writer.h"

namespace tierlib::trace_replay {
namespace {

using trace::Event;
using trace::Tag;
using trace_viewer::CollectPoolHistory;
using trace_viewer::PickleWriter;

// A run of a pool, with blocks that are live at its end and, unless `ample`, requests that found it full.
void WriteRun(const std::string& path, bool ample) {
  const auto recorder = trace::Recorder::Open({.path = path}).value();
  PoolUnderTest test = MakePoolUnderTest(ample ? MiB(64) : MiB(3), ShapeOnly(), 2, recorder.get());
  std::vector<void*> live;
  Random random(9);
  for (int i = 0; i < 4000; ++i) {
    if (live.size() > 70 || (!live.empty() && random.UniformInt(2) == 0)) {
      std::swap(live[random.UniformInt(live.size())], live.back());
      test.pool->Free(live.back(), {test.streams[random.UniformInt(2)]});
      live.pop_back();
    } else {
      const Stream stream = test.streams[static_cast<std::size_t>(i) % 2];
      const StatusOr<void*> block = test.pool->Allocate(random.UniformInt(100'000), stream, Tag::kActivation);
      if (block.ok()) live.push_back(*block);
    }
  }
}

Ran Trace(std::vector<std::string> arguments) { return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(arguments)); }

// The report on a file, without what differs from one format to the next.
nlohmann::json Replayed(const std::string& file) {
  const Ran ran = RunProgramAt(TIERLIB_REPLAY_PROGRAM, {"--json", "--lag", "50", "--spare", "64KiB", file});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  nlohmann::json json = nlohmann::json::parse(ran.out, nullptr, false);
  for (const char* key : {"file", "format", "ns_per_operation"}) json.erase(key);
  return json;
}

TEST(Export, EveryFormatReplaysToTheSameAddresses) {
  for (const bool ample : {true, false}) {
    TemporaryFolder folder;
    const std::string run = folder / "run.tlt";
    WriteRun(run, ample);
    const nlohmann::json direct = Replayed(run);
    EXPECT_EQ(direct["operations"]["streams"], 2);
    EXPECT_GT(direct["waits"], 100);
    EXPECT_GT(direct["operations"]["count"], 3000);
    EXPECT_EQ(direct["trace"]["failures"] == 0, ample) << direct;
    for (const std::string format : {"rmm-csv", "torch-snapshot"}) {
      const Ran ran = Trace({"export", "--format", format, run, "-o", folder / format});
      EXPECT_EQ(ran.exit_code, 0) << ran.errors;
      EXPECT_EQ(ran.out + ran.errors, "");
      EXPECT_EQ(Replayed(folder / format), direct) << format;
    }
  }
}

trace::Trace SmallTrace() {
  trace::Trace trace;
  trace.start_monotonic_ns = 5'000;
  trace.start_wall_ns = 1'764'324'942'123'456'000;  // 2025-11-28 10:15:42.123456 UTC
  const auto add = [&trace](Event event, Tag tag, std::uint16_t detail, std::uint64_t subject, std::uint64_t value) {
    const auto number = static_cast<std::int64_t>(trace.records.size());
    trace.records.push_back({5'000 + number * 1'000'000, event, tag, detail, 0, subject, value});
  };
  add(Event::kPoolReserve, Tag::kNone, 0, 0, 8192);
  add(Event::kPoolReserve, Tag::kNone, 0, 1, 999);  // another tier
  add(Event::kPoolAllocate, Tag::kActivation, 0, 0, 512);
  add(Event::kPoolAllocate, Tag::kParameter, 0, 512, 1024);
  add(Event::kPoolAllocate, Tag::kParameter, 1, 512, 7);  // another tier
  add(Event::kPoolFull, Tag::kSaved, 0, 6656, 10'000);
  add(Event::kPoolFree, Tag::kActivation, 0, 0, 512);
  add(Event::kPoolAllocate, Tag::kActivation, 0, 2048, 256);
  add(Event::kPoolRelease, Tag::kNone, 0, 0, 4096);
  trace.labels = {{1, "stream 3"}, {2, "streams 26, 3"}};
  trace.records[2].label = 1;
  trace.records[5].label = 1;
  trace.records[6].label = 2;
  return trace;
}

TEST(Export, RmmCsvIsRmmsLog) {
  EXPECT_EQ(trace_viewer::RmmCsv(CollectPoolHistory(SmallTrace(), trace::TierCode::kDevice)),
            "Thread,Time,Action,Pointer,Size,Stream\n"
            "1,10:15:42.125456,allocate,0x100000000000,512,0x3\n"
            "1,10:15:42.126456,allocate,0x100000000200,1024,0x0\n"
            "1,10:15:42.128456,allocate failure,(nil),10000,0x3\n"
            "1,10:15:42.129456,free,0x100000000000,512,0x1a\n"
            "1,10:15:42.130456,allocate,0x100000000800,256,0x0\n");
  EXPECT_EQ(trace_viewer::RmmCsv(CollectPoolHistory(SmallTrace(), trace::TierCode::kPinned)),
            "Thread,Time,Action,Pointer,Size,Stream\n"
            "1,10:15:42.127456,allocate,0x100000000200,7,0x0\n");
}

// The items of a dict or list as text, to compare with.
std::string Text(const Pickle& pickle, const PickleValue& value) {
  switch (value.kind) {
    case PickleValue::Kind::kInteger: return std::to_string(value.integer);
    case PickleValue::Kind::kText: return std::string(value.text, value.size);
    case PickleValue::Kind::kBool: return value.integer != 0 ? "true" : "false";
    default: break;
  }
  std::string text = "[";
  for (const PickleValue& item : pickle.Items(value)) text += Text(pickle, item) + ' ';
  return text + ']';
}

TEST(Export, TorchSnapshotHasTheBlocksAtTheEndAndTheEvents) {
  const std::string bytes = trace_viewer::TorchSnapshot(CollectPoolHistory(SmallTrace(), trace::TierCode::kDevice));
  const Pickle pickle = Pickle::Read(bytes).value();
  const PickleValue& segments = *pickle.Find(pickle.root(), "segments");
  ASSERT_EQ(pickle.Items(segments).size(), 1u);
  const PickleValue& segment = pickle.Items(segments)[0];
  EXPECT_EQ(pickle.Find(segment, "address")->integer, std::int64_t{1} << 44);
  EXPECT_EQ(pickle.Find(segment, "total_size")->integer, 4096);
  EXPECT_EQ(pickle.Find(segment, "allocated_size")->integer, 1280);
  std::vector<std::string> blocks;
  for (const PickleValue& block : pickle.Items(*pickle.Find(segment, "blocks"))) {
    blocks.push_back(std::to_string(pickle.Find(block, "address")->integer - (std::int64_t{1} << 44)) + ' ' +
                     Text(pickle, *pickle.Find(block, "size")) + ' ' + Text(pickle, *pickle.Find(block, "state")) +
                     ' ' + Text(pickle, *pickle.Find(block, "frames")));
  }
  EXPECT_EQ(blocks,
            (std::vector<std::string>{"0 512 inactive [[name untagged filename tierlib line 0 ] ]",
                                      "512 1024 active_allocated [[name parameters filename tierlib line 0 ] ]",
                                      "1536 512 inactive [[name untagged filename tierlib line 0 ] ]",
                                      "2048 256 active_allocated [[name activations filename tierlib line 0 ] ]",
                                      "2304 1792 inactive [[name untagged filename tierlib line 0 ] ]"}));
  const PickleValue& traces = *pickle.Find(pickle.root(), "device_traces");
  ASSERT_EQ(pickle.Items(traces).size(), 1u);
  std::vector<std::string> events;
  for (const PickleValue& event : pickle.Items(pickle.Items(traces)[0])) {
    events.push_back(Text(pickle, *pickle.Find(event, "action")) + ' ' + Text(pickle, *pickle.Find(event, "size")));
  }
  EXPECT_EQ(events,
            (std::vector<std::string>{"segment_map 8192", "alloc 512", "alloc 1024", "oom 10000", "free_requested 512",
                                      "free_completed 512", "alloc 256", "segment_unmap 4096"}));
  const PickleValue& oom = pickle.Items(pickle.Items(traces)[0])[3];
  EXPECT_EQ(pickle.Find(oom, "device_free")->integer, 6656);
  EXPECT_EQ(pickle.Find(oom, "addr"), nullptr);
  EXPECT_EQ(pickle.Find(oom, "time_us")->integer, 1'764'324'942'128'456);
}

TEST(Export, RecordsThatNoProgramWroteAreLeftOut) {
  trace::Trace trace = SmallTrace();
  const trace::Record first = trace.records[2];
  trace::Record record = first;
  record.subject = ~std::uint64_t{0} - 5;
  trace.records.push_back(record);
  record = first;
  record.value = ~std::uint64_t{0};
  trace.records.push_back(record);
  record = first;
  record.subject = 600;  // inside another block
  record.time_ns = INT64_MIN;
  trace.records.push_back(record);
  const auto history = CollectPoolHistory(trace, trace::TierCode::kDevice);
  EXPECT_EQ(history.left_out, 2u);
  const std::string bytes = trace_viewer::TorchSnapshot(history);
  const Pickle pickle = Pickle::Read(bytes).value();
  const PickleValue& segment = pickle.Items(*pickle.Find(pickle.root(), "segments"))[0];
  std::int64_t total = 0;
  for (const PickleValue& block : pickle.Items(*pickle.Find(segment, "blocks"))) {
    total += pickle.Find(block, "size")->integer;
  }
  EXPECT_EQ(total, 4096) << "the blocks tile the segment";
  EXPECT_FALSE(trace_viewer::RmmCsv(history).empty());
}

TEST(Export, AnEmptyTierIsAnEmptySnapshot) {
  const std::string bytes = trace_viewer::TorchSnapshot({});
  const Pickle pickle = Pickle::Read(bytes).value();
  EXPECT_TRUE(pickle.Items(*pickle.Find(pickle.root(), "segments")).empty());
  EXPECT_EQ(pickle.Items(*pickle.Find(pickle.root(), "device_traces")).size(), 1u);
}

TEST(PickleWriter, WritesWhatTheReaderReads) {
  const std::int64_t integers[] = {0,         1,     255,       256,
                                   65535,     65536, INT32_MAX, std::int64_t{INT32_MAX} + 1,
                                   INT64_MAX, -1,    INT32_MIN, std::int64_t{INT32_MIN} - 1,
                                   INT64_MIN};
  PickleWriter writer;
  writer.BeginList();
  for (const std::int64_t integer : integers) {
    writer.Item();
    writer.Integer(integer);
  }
  for (int i = 0; i < 2500; ++i) {  // more than one batch, and more texts than one byte numbers, each twice
    writer.Item();
    writer.Text("text " + std::to_string(i % 1250));
  }
  writer.EndList();
  const std::string bytes = std::move(writer).Finish();
  const Pickle pickle = Pickle::Read(bytes).value();
  const auto& items = pickle.Items(pickle.root());
  ASSERT_EQ(items.size(), 2513u);
  for (std::size_t i = 0; i < 13; ++i) EXPECT_EQ(items[i].integer, integers[i]);
  for (std::size_t i = 0; i < 2500; ++i) EXPECT_EQ(Text(pickle, items[13 + i]), "text " + std::to_string(i % 1250));
}

// What torch.cuda._memory_viz and the page do with a snapshot, as far as its shape goes.
constexpr const char* kPythonCheck = R"(
import pickle, sys
s = pickle.load(open(sys.argv[1], 'rb'))
live = {}
for e in s['device_traces'][0]:
    if e['action'] == 'alloc':
        live[e['addr']] = e['size']
    elif e['action'] == 'free_completed':
        del live[e['addr']]
    assert e['action'] == 'oom' or e['addr'] >= 1 << 44
    assert e['time_us'] > 0 and e['stream'] in ((0,) if e['action'].startswith('segment') else (1, 2))
    assert all(isinstance(f['line'], int) and f['name'] and f['filename'] for f in e['frames'])
segment, = s['segments']
at = segment['address']
active = {}
for b in segment['blocks']:
    assert b['address'] == at and b['requested_size'] <= b['size'] and b['state'] in ('active_allocated', 'inactive')
    if b['state'] == 'active_allocated':
        active[at] = b['size']
    at += b['size']
assert at == segment['address'] + segment['total_size']
assert active == live and active, (active, live)
assert sum(active.values()) == segment['allocated_size']
print('snapshot with', len(active), 'blocks')
)";

TEST(Export, PythonReadsTheSnapshot) {
  if (RunProgramAt("python3", {"-c", "pass"}).exit_code != 0) GTEST_SKIP() << "there is no python3 here";
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt", false);
  ASSERT_EQ(Trace({"export", "--format", "torch-snapshot", folder / "run.tlt", "-o", folder / "out"}).exit_code, 0);
  const Ran ran = RunProgramAt("python3", {"-c", kPythonCheck, folder / "out"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out.find("snapshot with "), 0u) << ran.out;
}

// PyTorch's own reader of snapshots, of whichever version is installed: its file needs nothing of PyTorch, which takes
// seconds to load.
constexpr const char* kTorchCheck = R"(
import importlib.util, os, pickle, sys
torch = importlib.util.find_spec('torch')
path = torch and os.path.join(os.path.dirname(torch.origin), 'cuda', '_memory_viz.py')
if not path or not os.path.exists(path):
    print('no torch')
    sys.exit(0)
spec = importlib.util.spec_from_file_location('_memory_viz', path)
viz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(viz)
s = pickle.load(open(sys.argv[1], 'rb'))
segment, = s['segments']
if hasattr(viz, 'segsum'):  # from PyTorch 2.0 on
    assert viz.segsum(s) and viz.trace(s)
else:
    stats = viz.stats(s['segments'])
    assert stats['segments'] == 1 and stats['total_size'].value == segment['total_size'], stats
    assert stats['active_allocated'].value == segment['allocated_size'] > 0, stats
lines = viz.memory(s if hasattr(viz, 'segsum') else s['segments'], format_flamegraph=lambda text: text).splitlines()
assert sum(int(line.split()[-1]) for line in lines) == segment['total_size'], lines
print('read by', path)
)";

TEST(Export, PyTorchReadsTheSnapshot) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt", false);
  ASSERT_EQ(Trace({"export", "--format", "torch-snapshot", folder / "run.tlt", "-o", folder / "out"}).exit_code, 0);
  bool read = false;
  for (const char* python : {"python3", "/usr/bin/python3"}) {  // Debian's has Debian's packages
    if (RunProgramAt(python, {"-c", "pass"}).exit_code != 0) continue;
    const Ran ran = RunProgramAt(python, {"-c", kTorchCheck, folder / "out"});
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    read = read || ran.out.find("read by ") == 0;
  }
  if (!read) GTEST_SKIP() << "no python3 here has PyTorch (package python3-torch)";
}

// The columns that RMM's replay benchmark asks for by name, as Python's csv reads them (and pandas, where it is).
constexpr const char* kCsvCheck = R"(
import csv, datetime, sys
rows = list(csv.DictReader(open(sys.argv[1], newline='')))
live = {}
failed = 0
for row in rows:
    assert set(row) == {'Thread', 'Time', 'Action', 'Pointer', 'Size', 'Stream'}, row
    datetime.datetime.strptime(row['Time'], '%H:%M:%S.%f')
    size = int(row['Size'])
    assert int(row['Thread']) == 1 and int(row['Stream'], 16) in (1, 2)
    if row['Action'] == 'allocate':
        pointer = int(row['Pointer'], 16)
        assert pointer not in live
        live[pointer] = size
    elif row['Action'] == 'free':
        assert live.pop(int(row['Pointer'], 16)) == size
    else:
        assert row['Action'] == 'allocate failure' and row['Pointer'] == '(nil)', row
        failed += 1
assert failed > 0 and live
try:
    import pandas
except ImportError:
    pandas = None
if pandas is not None:
    frame = pandas.read_csv(sys.argv[1])
    assert len(frame) == len(rows) and frame['Size'].sum() == sum(int(row['Size']) for row in rows)
print(len(rows), 'rows', len(live), 'live')
)";

TEST(Export, PythonReadsTheCsv) {
  if (RunProgramAt("python3", {"-c", "pass"}).exit_code != 0) GTEST_SKIP() << "there is no python3 here";
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt", false);
  ASSERT_EQ(Trace({"export", "--format", "rmm-csv", folder / "run.tlt", "-o", folder / "out"}).exit_code, 0);
  const Ran ran = RunProgramAt("python3", {"-c", kCsvCheck, folder / "out"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_NE(ran.out.find(" live"), std::string::npos) << ran.out;
}

void ExpectOneLine(const Ran& ran, int exit_code, const std::string& text) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.errors;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.errors.find("tierlib-trace: "), 0u) << ran.errors;
  EXPECT_NE(ran.errors.find(text), std::string::npos) << ran.errors;
  EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
}

TEST(Export, MistakesAreOneLine) {
  TemporaryFolder folder;
  const std::string run = folder / "run.tlt";
  WriteRun(run, true);
  const std::string whole = ReadWhole(run);
  WriteWhole(folder / "text", "hello");
  ExpectOneLine(Trace({"export", run, "-o", folder / "x"}), 2, "--format");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", run}), 2, "--output");
  ExpectOneLine(Trace({"export", "--format", "json", run, "-o", folder / "x"}), 2, "--format");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", "--tier", "disk", run, "-o", folder / "x"}), 2, "--tier");
  ExpectOneLine(Trace({"export", "--format", "chrome", "--tier", "pinned", run, "-o", folder / "x"}), 2, "--tier");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", run, "-o", folder.path() + "/./run.tlt"}), 2,
                "is the trace itself");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", folder / "text", "-o", folder / "x"}), 3,
                "not a tierlib trace");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", run, "-o", folder / "none/x"}), 5,
                "cannot write " + folder / "none/x" + ": No such file");
  ExpectOneLine(Trace({"export", "--format", "rmm-csv", run, "-o", "/dev/full"}), 5,
                "cannot write /dev/full: No space");
  EXPECT_EQ(ReadWhole(run), whole);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"run.tlt", "text"}));
  EXPECT_EQ(Trace({"export", "--format", "rmm-csv", run, "-o", "-"}).out.find("Thread,Time,"), 0u);
  WriteWhole(folder / "cut", whole.substr(0, whole.size() - (whole.size() - 4096) / 2));
  const Ran cut = Trace({"export", "--format", "rmm-csv", folder / "cut", "-o", folder / "x"});
  EXPECT_EQ(cut.exit_code, 4);
  EXPECT_NE(cut.errors.find(folder / "cut" + ": byte "), std::string::npos) << cut.errors;
}

}  // namespace
}  // namespace tierlib::trace_replay
