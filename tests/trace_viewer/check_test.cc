// tierlib-trace check: real traces add up, and each planted mistake is named.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "storage/residency.h"
#include "trace/check/conservation.h"
#include "trace/check/saved_ledger.h"
#include "trace/summary.h"
#include "trace/trace_writer.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::CheckConservation;
using trace::ConservationReport;
using trace::DecisionAction;
using trace::Event;
using trace::Record;
using trace::Rule;
using trace::Trace;

std::string Told(const ConservationReport& report) {
  std::string text;
  for (const trace::Finding& finding : report.findings) {
    text += std::to_string(finding.record) + ' ' + trace::RuleName(finding.rule) + ": " + finding.what + '\n';
  }
  return text;
}

const Trace& Recorded() {
  static const auto& trace = *new Trace([] {
    TemporaryFolder folder;
    RecordRun(folder / "run.tlt");
    return std::move(trace::ReadTraceFile(folder / "run.tlt")).value();
  }());
  return trace;
}

// The first record that fits, at or after `from`.
std::size_t Find(const Trace& trace, const std::function<bool(const Record&)>& fits, std::size_t from = 0) {
  const auto found = std::find_if(trace.records.begin() + static_cast<std::ptrdiff_t>(from), trace.records.end(), fits);
  EXPECT_NE(found, trace.records.end()) << "the run has no such record";
  return found == trace.records.end() ? 0 : static_cast<std::size_t>(found - trace.records.begin());
}
std::size_t Find(const Trace& trace, Event event, std::size_t from = 0) {
  return Find(
      trace, [event](const Record& record) { return record.event == event; }, from);
}
void Erase(Trace& trace, std::size_t index) {
  trace.records.erase(trace.records.begin() + static_cast<std::ptrdiff_t>(index));
}
void Insert(Trace& trace, std::size_t index, Record record) {
  trace.records.insert(trace.records.begin() + static_cast<std::ptrdiff_t>(index), record);
}
// The end of the transfer that begins at `begin`.
std::size_t EndOf(const Trace& trace, std::size_t begin) {
  const std::uint64_t number = trace.records[begin].subject;
  return Find(trace, [number](const Record& r) { return r.event == Event::kTransferEnd && r.subject == number; });
}

std::uint64_t StorageOf(const Trace& trace, std::uint64_t transfer) {
  return trace
      .records[Find(
          trace, [transfer](const Record& r) { return r.event == Event::kTransferStorage && r.subject == transfer; })]
      .value;
}
// Gives the transfer that begins at `to` the storage and the times of the one that begins at `from`.
void MakeOne(Trace& trace, std::size_t from, std::size_t to) {
  const std::uint64_t storage = StorageOf(trace, trace.records[from].subject);
  const std::uint64_t number = trace.records[to].subject;
  for (Record& record : trace.records) {
    if (record.event == Event::kTransferStorage && record.subject == number) record.value = storage;
  }
  trace.records[EndOf(trace, to)].time_ns = trace.records[EndOf(trace, from)].time_ns;
  trace.records[to].time_ns = trace.records[from].time_ns;
}
// The begins of the first two transfers in the direction.
std::pair<std::size_t, std::size_t> FirstTwo(const Trace& trace, std::uint16_t direction) {
  const auto begins = [direction](const Record& r) {
    return r.event == Event::kTransferBegin && r.detail == direction;
  };
  const std::size_t first = Find(trace, begins);
  return {first, Find(trace, begins, first + 1)};
}
constexpr auto kOut = static_cast<std::uint16_t>(trace::DirectionCode::kOut);
constexpr auto kIn = static_cast<std::uint16_t>(trace::DirectionCode::kIn);
// The begin of a copy in of a storage that has left once, and of that copy out.
std::pair<std::size_t, std::size_t> ThereAndBack(const Trace& trace) {
  for (std::size_t in = 0; in < trace.records.size(); ++in) {
    if (trace.records[in].event != Event::kTransferBegin || trace.records[in].detail != kIn) continue;
    const std::uint64_t storage = StorageOf(trace, trace.records[in].subject);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < trace.records.size(); ++i) {
      const Record& record = trace.records[i];
      if (record.event != Event::kTransferBegin || record.detail != kOut) continue;
      if (StorageOf(trace, record.subject) == storage) out.push_back(i);
    }
    if (out.size() == 1) return {in, out.front()};
  }
  ADD_FAILURE() << "the run has no such storage";
  return {0, 0};
}

TEST(Check, RealTracesAddUpInEveryMode) {
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
      TemporaryFolder folder;
      RecordRun(folder / "run.tlt", {.mode = mode, .policy = policy});
      const StatusOr<Trace> trace = trace::ReadTraceFile(folder / "run.tlt");
      ASSERT_TRUE(trace.ok()) << trace.status();
      const ConservationReport report = CheckConservation(*trace);
      EXPECT_EQ(report.finding_count, 0u) << static_cast<int>(mode) << '\n' << Told(report);
      EXPECT_TRUE(report.complete && report.ended);
      EXPECT_GT(report.blocks, 100u);
      EXPECT_GT(report.packs, 20u);
      EXPECT_EQ(report.steps, 3u);
      EXPECT_GT(report.ops, 100u);
      if (mode != OffloadMode::kOff && policy == OffloadPolicy::kAll) {
        EXPECT_GT(report.transfers, 20u);
        EXPECT_GT(report.stalls, 0u);
      }
    }
  }
}

// Copies in pieces come back while they leave, and small ones leave together: neither is an overlap.
TEST(Check, RealTracesOfPiecesAndGatheredCopiesAddUp) {
  for (const std::uint64_t piece_bytes : {std::uint64_t{0}, std::uint64_t{1000}, MiB(8)}) {
    for (const std::uint64_t batch_bytes : {std::uint64_t{0}, KiB(256)}) {
      for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
        SCOPED_TRACE(std::to_string(piece_bytes) + ' ' + std::to_string(batch_bytes));
        TemporaryFolder folder;
        RecordRun(folder / "run.tlt", {.mode = mode, .piece_bytes = piece_bytes, .batch_bytes = batch_bytes});
        const StatusOr<Trace> trace = trace::ReadTraceFile(folder / "run.tlt");
        ASSERT_TRUE(trace.ok()) << trace.status();
        ASSERT_TRUE(trace->copy_limits.has_value());
        EXPECT_EQ(trace->copy_limits->piece_bytes, piece_bytes);
        EXPECT_EQ(trace->copy_limits->batch_bytes, batch_bytes);
        const ConservationReport report = CheckConservation(*trace);
        EXPECT_EQ(report.finding_count, 0u) << Told(report);
        EXPECT_GT(report.transfers, 20u);
      }
    }
  }
}

// Packs `count` floats and brings them back.
Status SaveAndLoad(Runtime& runtime, StorageId storage, std::int64_t count, Stream stream) {
  const View view{storage, Layout::Contiguous(DType::kF32, {count})};
  TIERLIB_ASSIGN_OR_RETURN(const Saved saved, runtime.Pack(view, nullptr, stream, "saved"));
  TIERLIB_RETURN_IF_ERROR(runtime.Drain());
  return runtime.Unpack(saved, stream).status();
}

// Devices have blocks at the same offsets of every tier, and records do not say which is whose.
TEST(Check, SaysWhereDevicesCannotBeToldApart) {
  TemporaryFolder folder;
  Options options = autograd::SmallOptions();
  options.devices.push_back(options.devices[0]);
  options.devices[1].device = 1;
  options.trace = folder / "run.tlt";
  {
    const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
    std::vector<std::pair<StorageId, Stream>> made;
    for (const int device : {0, 1}) {
      const Stream stream = runtime->CreateStream(device, "compute").value();
      const Allocation x = runtime->Allocate(8192, Holds::kTransient, stream, "x").value();
      ASSERT_TRUE(SaveAndLoad(*runtime, x.storage, 1024 * (device + 1), stream).ok());
      made.emplace_back(x.storage, stream);
    }
    for (const auto& [storage, stream] : made) EXPECT_TRUE(runtime->Retire(storage, stream).ok());
  }
  const StatusOr<Trace> trace = trace::ReadTraceFile(folder / "run.tlt");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->device, "emulated:0, emulated:1");
  const ConservationReport report = CheckConservation(*trace);
  EXPECT_TRUE(report.several_devices);
  EXPECT_EQ(report.finding_count, 0u) << Told(report);
  EXPECT_EQ(report.storages, 2u);
  EXPECT_EQ(report.blocks, 0u);
  const trace::Summary summary = trace::Summarize(*trace);
  EXPECT_EQ(summary.transfers[0].count, 2u);
  EXPECT_EQ(summary.transfers[0].bytes, 4096u + 8192u);
  const Ran ran = RunTrace({"check", folder / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_NE(ran.out.find("several devices, whose blocks and transfers are not followed"), std::string::npos) << ran.out;
}

// A copy that the device refuses was asked for and moves nothing. One that fails later was booked before.
TEST(Check, CopiesThatFailAreNoContradictions) {
  for (const char* point : {"transfer.enqueue", "transfer.end"}) {
    SCOPED_TRACE(point);
    TemporaryFolder folder;
    Options options = autograd::SmallOptions();
    options.devices[0].coalesce_bytes = 0;
    options.trace = folder / "run.tlt";
    {
      const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
      const Stream stream = runtime->CreateStream(0, "compute").value();
      const Allocation x = runtime->Allocate(8192, Holds::kTransient, stream, "x").value();
      const ScopedFailpoint failure(point, {});
      EXPECT_FALSE(SaveAndLoad(*runtime, x.storage, 2048, stream).ok());
      EXPECT_GT(failure.calls(), 0);
      (void)runtime->Retire(x.storage, stream);
    }
    const StatusOr<Trace> trace = trace::ReadTraceFile(folder / "run.tlt");
    ASSERT_TRUE(trace.ok()) << trace.status();
    const ConservationReport report = CheckConservation(*trace);
    EXPECT_TRUE(report.ended);
    EXPECT_GT(report.transfers, 0u);
    EXPECT_EQ(report.by_rule[static_cast<std::size_t>(Rule::kTransferNotEnded)], 0u) << Told(report);
    EXPECT_EQ(report.by_rule[static_cast<std::size_t>(Rule::kTransferOrder)], 0u) << Told(report);
    EXPECT_EQ(report.by_rule[static_cast<std::size_t>(Rule::kTransferChanged)], 0u) << Told(report);
    EXPECT_EQ(report.by_rule[static_cast<std::size_t>(Rule::kMovedBytes)], 0u) << Told(report);
    EXPECT_EQ(trace::Summarize(*trace).transfers[0].bytes, 0u);
  }
}

struct Mistake {
  const char* name;
  Rule rule;
  std::function<void(Trace&)> plant;
};

std::vector<Mistake> BlockMistakes() {
  return {
      {"missing free", Rule::kBlockOverlap, [](Trace& t) { Erase(t, Find(t, Event::kPoolFree)); }},
      {"missing free of the last block there", Rule::kBlockNotFreed,
       [](Trace& t) {
         std::size_t last = 0;
         for (std::size_t i = 0; i < t.records.size(); ++i) last = t.records[i].event == Event::kPoolFree ? i : last;
         Erase(t, last);
       }},
      {"double free", Rule::kBlockFreedTwice,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kPoolFree);
         Insert(t, i + 1, t.records[i]);
       }},
      {"free of nothing", Rule::kBlockUnknown, [](Trace& t) { t.records[Find(t, Event::kPoolFree)].subject += 1; }},
      {"free of other bytes", Rule::kBlockChanged, [](Trace& t) { t.records[Find(t, Event::kPoolFree)].value += 512; }},
      {"free with another tag", Rule::kBlockChanged,
       [](Trace& t) { t.records[Find(t, Event::kPoolFree)].tag = trace::Tag::kWorkspace; }},
      {"two live blocks at one address", Rule::kBlockOverlap,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kPoolAllocate);
         t.records[Find(t, Event::kPoolAllocate, i + 1)].subject = t.records[i].subject;
       }},
      {"memory that was never reserved", Rule::kTierReserved,
       [](Trace& t) { t.records[Find(t, Event::kPoolReserve)].value = 256; }},
      {"more than the device has", Rule::kTierCapacity, [](Trace& t) { t.device_capacity = 4096; }},
      {"wrong sum of free and live bytes", Rule::kTierFreeBytes,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kPoolAllocate);
         Record full{t.records[i].time_ns, Event::kPoolFull, trace::Tag::kNone, t.records[i].detail, 0, 1'000'000, 1};
         Insert(t, i, full);
         Insert(t, i + 2, full);
       }},
      {"no such tier", Rule::kField, [](Trace& t) { t.records[Find(t, Event::kPoolAllocate)].detail = 9; }},
  };
}

std::vector<Mistake> TransferMistakes() {
  return {
      {"never asked for", Rule::kTransferOrder, [](Trace& t) { Erase(t, Find(t, Event::kTransferAsk)); }},
      {"begun twice", Rule::kTransferOrder,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kTransferBegin);
         Insert(t, i, t.records[i]);
       }},
      {"end without begin", Rule::kTransferOrder, [](Trace& t) { Erase(t, Find(t, Event::kTransferBegin)); }},
      {"ends before it begins", Rule::kTransferOrder,
       [](Trace& t) {
         const std::size_t begin = Find(t, Event::kTransferBegin);
         const std::size_t end = EndOf(t, begin);
         std::swap(t.records[begin].event, t.records[end].event);
       }},
      {"begins before it is asked for", Rule::kTransferOrder,
       [](Trace& t) {
         const std::size_t begin = Find(t, Event::kTransferBegin);
         Record early = t.records[begin];
         early.time_ns = t.records.front().time_ns;
         Erase(t, begin);
         Insert(t, 1, early);
       }},
      {"other bytes at the end", Rule::kTransferChanged,
       [](Trace& t) { t.records[Find(t, Event::kTransferEnd)].value /= 2; }},
      {"other direction at the end", Rule::kTransferChanged,
       [](Trace& t) { t.records[Find(t, Event::kTransferEnd)].detail ^= 1; }},
      {"end without bytes of a copy that began", Rule::kTransferChanged,
       [](Trace& t) { t.records[Find(t, Event::kTransferEnd)].value = 0; }},
      {"missing end", Rule::kTransferNotEnded, [](Trace& t) { Erase(t, Find(t, Event::kTransferEnd)); }},
      {"two at once on one stream", Rule::kTransferOverlap,
       [](Trace& t) {
         const std::size_t begin = Find(t, Event::kTransferBegin);
         const std::uint16_t direction = t.records[begin].detail;
         const std::uint64_t number = t.records[begin].subject;
         const std::size_t next = Find(t, [&](const Record& r) {
           return r.event == Event::kTransferBegin && r.detail == direction && r.subject != number;
         });
         Record end = t.records[EndOf(t, begin)];
         Erase(t, EndOf(t, begin));
         end.time_ns = t.records[next].time_ns + 5'000;
         const std::size_t after = Find(t, [&](const Record& r) { return r.time_ns > end.time_ns; });
         Insert(t, after, end);
       }},
      {"two copies out of one storage at once", Rule::kTransferOverlap,
       [](Trace& t) {
         const auto [first, second] = FirstTwo(t, kOut);
         MakeOne(t, first, second);
       }},
      {"two copies in of one storage at once", Rule::kTransferOverlap,
       [](Trace& t) {
         const auto [first, second] = FirstTwo(t, kIn);
         MakeOne(t, first, second);
       }},
      {"a copy in of a storage that still goes out", Rule::kTransferSource,
       [](Trace& t) {
         const auto [in, out] = ThereAndBack(t);
         t.records[EndOf(t, out)].time_ns = t.records[in].time_ns + 5'000;
       }},
      {"a copy in from before its copy out", Rule::kTransferSource,
       [](Trace& t) {
         const auto [in, out] = ThereAndBack(t);
         const std::int64_t early_ns = t.records[out].time_ns - 1'000'000;
         t.records[EndOf(t, in)].time_ns -= t.records[in].time_ns - early_ns;
         t.records[in].time_ns = early_ns;
       }},
      {"of no storage", Rule::kTransferStorage, [](Trace& t) { Erase(t, Find(t, Event::kTransferStorage)); }},
      {"copies out that nobody booked", Rule::kMovedBytes,
       [](Trace& t) {
         const std::size_t i = Find(t, [](const Record& r) { return r.event == Event::kTransferAsk && r.detail == 0; });
         const std::uint64_t number = t.records[i].subject;
         for (Record& r : t.records) {
           const bool phase =
               r.event == Event::kTransferAsk || r.event == Event::kTransferBegin || r.event == Event::kTransferEnd;
           if (phase && r.subject == number) r.value += 4096;
         }
       }},
  };
}

std::vector<Mistake> SavedMistakes() {
  return {
      {"wrong sum of a packed value", Rule::kPackSum, [](Trace& t) { t.records[Find(t, Event::kPack)].value += 4; }},
      {"packed without a decision", Rule::kPackSum,
       [](Trace& t) { Erase(t, Find(t, [](const Record& r) { return r.event == Event::kDecision && r.value > 0; })); }},
      {"no such decision", Rule::kField, [](Trace& t) { t.records[Find(t, Event::kDecision)].detail = 0x4000; }},
      {"use of a storage that was retired", Rule::kStorageUnknown,
       [](Trace& t) {
         const std::size_t retire = Find(t, Event::kStorageRetire);
         const Record retired = t.records[retire];
         Insert(t, retire + 1, {retired.time_ns, Event::kStorageWrite, trace::Tag::kNone, 0, 0, retired.subject, 99});
       }},
      {"use of a storage that never was", Rule::kStorageUnknown,
       [](Trace& t) { Erase(t, Find(t, Event::kStorageRegister)); }},
      {"retired with other bytes", Rule::kStorageChanged,
       [](Trace& t) { t.records[Find(t, Event::kStorageRetire)].value += 1; }},
      {"version that falls", Rule::kStorageVersion,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kStorageWrite);
         Insert(t, i + 1, t.records[i]);
       }},
      {"dropped twice", Rule::kValueUnknown,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kDrop);
         for (int n = 0; n < 50; ++n) Insert(t, i + 1, t.records[i]);
       }},
      {"never dropped", Rule::kValueNotDropped, [](Trace& t) { Erase(t, Find(t, Event::kDrop)); }},
      {"illegal residency", Rule::kResidencyIllegal,
       [](Trace& t) { t.records[Find(t, Event::kResidency)].detail = 6 * 256; }},
      {"residency out of nothing", Rule::kResidencyUnknown,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kResidency);
         Insert(t, i + 1, t.records[i]);
         t.records[i + 1].detail = 3 * 256 + 2;  // from the host to both
       }},
      {"step within a step", Rule::kStepNesting, [](Trace& t) { Erase(t, Find(t, Event::kStepEnd)); }},
      {"step that ends as another", Rule::kStepNesting,
       [](Trace& t) { t.records[Find(t, Event::kStepEnd)].subject += 7; }},
      {"stall without a begin", Rule::kStallPair, [](Trace& t) { Erase(t, Find(t, Event::kStallBegin)); }},
      {"stall of another length", Rule::kStallLength,
       [](Trace& t) {
         t.records[Find(t, [](const Record& r) { return r.event == Event::kStallEnd && r.subject != 0; })].value +=
             2'000'000;
       }},
      {"op that ends twice", Rule::kOpPair,
       [](Trace& t) {
         const std::size_t i = Find(t, Event::kOpEnd);
         Insert(t, i, t.records[i]);
       }},
      {"op that never ends", Rule::kOpPair, [](Trace& t) { Erase(t, Find(t, Event::kOpEnd)); }},
      {"record from before the begin", Rule::kClock, [](Trace& t) { t.records.front().time_ns = 1; }},
      {"no such tag", Rule::kField,
       [](Trace& t) { t.records[Find(t, Event::kOpBegin)].tag = static_cast<trace::Tag>(77); }},
  };
}

TEST(Check, NamesEveryPlantedMistake) {
  ASSERT_EQ(CheckConservation(Recorded()).finding_count, 0u) << Told(CheckConservation(Recorded()));
  std::vector<Mistake> mistakes = BlockMistakes();
  for (const auto& more : {TransferMistakes(), SavedMistakes()})
    mistakes.insert(mistakes.end(), more.begin(), more.end());
  EXPECT_GE(mistakes.size(), 15u);
  for (const Mistake& mistake : mistakes) {
    SCOPED_TRACE(mistake.name);
    Trace trace = Recorded();
    mistake.plant(trace);
    const ConservationReport report = CheckConservation(trace);
    EXPECT_GT(report.by_rule[static_cast<std::size_t>(mistake.rule)], 0u) << Told(report);
    EXPECT_EQ(report.unexplained, 0u);
    const bool listed = std::any_of(report.findings.begin(), report.findings.end(), [&](const trace::Finding& finding) {
      return finding.rule == mistake.rule && !finding.what.empty();
    });
    EXPECT_TRUE(listed);
  }
}

TEST(Check, WhatMissingRecordsMayExplainIsNoFinding) {
  Trace trace = Recorded();
  Erase(trace, Find(trace, Event::kPoolFree));
  trace.dropped = 1;
  trace.problem_count = 1;
  ConservationReport report = CheckConservation(trace);
  EXPECT_EQ(report.finding_count, 0u) << Told(report);
  EXPECT_GT(report.unexplained, 0u);
  EXPECT_FALSE(report.complete);
  trace.records[Find(trace, Event::kTransferEnd)].value += 1;  // wrong whatever is missing
  report = CheckConservation(trace);
  EXPECT_EQ(report.finding_count, 1u) << Told(report);
  EXPECT_EQ(report.findings[0].rule, Rule::kTransferChanged);
}

// A flight recorder has lost the beginning, which is no problem of its file; a copy is of a program that went on.
TEST(Check, PartsOfARunAreNoFindings) {
  Trace trace = Recorded();
  trace.records.erase(trace.records.begin(), trace.records.begin() + 200);
  EXPECT_GT(CheckConservation(trace).finding_count, 0u);
  trace.gaps.push_back({0, trace.records.front().time_ns, trace::GapReason::kOverwritten, 0, 200});
  ConservationReport report = CheckConservation(trace);
  EXPECT_EQ(report.finding_count, 0u) << Told(report);
  EXPECT_GT(report.unexplained, 0u);
  trace = Recorded();
  trace.records.resize(trace.records.size() / 2);
  EXPECT_GT(CheckConservation(trace).finding_count, 0u);
  trace.is_copy = true;
  report = CheckConservation(trace);
  EXPECT_EQ(report.finding_count, 0u) << Told(report);
  EXPECT_FALSE(report.ended);
}

// A program that was killed leaves a prefix. What is open at its end is no contradiction.
TEST(Check, EveryPrefixOfATraceAddsUp) {
  Trace trace = Recorded();
  trace.closed = false;
  trace.problem_count = 1;  // as the reader says that the trace was not ended
  const std::size_t stride = 1 + trace.records.size() / 40;
  while (trace.records.size() > stride) {
    trace.records.resize(trace.records.size() - stride);
    const ConservationReport report = CheckConservation(trace);
    ASSERT_EQ(report.finding_count, 0u) << trace.records.size() << '\n' << Told(report);
  }
}

TEST(Check, KnowsTheResidenciesOfTheStore) {
  for (std::size_t from = 0; from < trace::kResidencyCodeCount; ++from) {
    EXPECT_STREQ(trace::ResidencyCodeName(from), ResidencyName(static_cast<Residency>(from)));
    for (std::size_t to = 0; to < trace::kResidencyCodeCount; ++to) {
      EXPECT_EQ(trace::IsLegalResidencyChange(from, to),
                IsLegalChange(static_cast<Residency>(from), static_cast<Residency>(to)));
    }
  }
  EXPECT_STREQ(ResidencyName(static_cast<Residency>(trace::kResidencyCodeCount)), "?");
}

TEST(CheckCommand, PrintsFindingsAndExitsWith1) {
  TemporaryFolder folder;
  WriteWhole(folder / "good.tlt", trace::EncodeTrace(Recorded()));
  const Ran good = RunTrace({"check", folder / "good.tlt"});
  EXPECT_EQ(good.exit_code, 0) << good.errors;
  EXPECT_EQ(good.out.find(folder / "good.tlt" + ": it adds up ("), 0u) << good.out;
  Trace bad = Recorded();
  const std::size_t twice = Find(bad, Event::kPoolFree);
  Insert(bad, twice + 1, bad.records[twice]);
  WriteWhole(folder / "bad.tlt", trace::EncodeTrace(bad));
  const Ran ran = RunTrace({"check", folder / "bad.tlt"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.out.find("record "), 0u) << ran.out;
  EXPECT_NE(ran.out.find(": block-freed-twice: the "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("bad.tlt: 1 finding ("), std::string::npos) << ran.out;
  const Ran json = RunTrace({"check", "--json", "-"}, folder / "bad.tlt");
  EXPECT_EQ(json.exit_code, 1);
  const nlohmann::json parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["schema_version"], 1);
  EXPECT_EQ(parsed["file"], "-");
  EXPECT_EQ(parsed["finding_count"], 1);
  EXPECT_EQ(parsed["by_rule"]["block-freed-twice"], 1);
  EXPECT_EQ(parsed["findings"][0]["record"], twice + 2);
  EXPECT_EQ(parsed["followed"]["records"], bad.records.size());
}

TEST(CheckCommand, TruncatedAndUnreadableInputHaveTheirExitCodes) {
  TemporaryFolder folder;
  Trace trace = Recorded();
  trace.closed = false;
  WriteWhole(folder / "killed.tlt", trace::EncodeTrace(trace));
  const Ran killed = RunTrace({"check", folder / "killed.tlt"});
  EXPECT_EQ(killed.exit_code, 4);
  EXPECT_NE(killed.out.find("the trace was not ended"), std::string::npos) << killed.out;
  EXPECT_EQ(RunTrace({"check", folder / "none.tlt"}).exit_code, 3);
  EXPECT_EQ(RunTrace({"check"}).exit_code, 2);
}

}  // namespace
}  // namespace tierlib::trace_viewer
