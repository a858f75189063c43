// A trace written beside a program and summarised says what the runtime's own counters say.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/device_factory.h"
#include "gtest/gtest.h"
#include "runtime/link_ceiling.h"
#include "runtime/program.h"
#include "trace/reader.h"
#include "trace/summary.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 8192;

class TraceFigures : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tierlib_figures.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

// Steps in which every way of treating a value occurs: moved, shared, made again, kept, persistent, expanded,
// overlapping,
// computed again.
// What a run of three steps is told of: its figures, and by storage what was waited for.
struct RunFigures {
  Statistics statistics;
  std::vector<StorageStalls> by_storage;
};
RunFigures RunSteps(const Options& options) {
  Program p(options);
  Random random(9);
  const Allocation w = p.Make(RandomBytes(random, kSize), Holds::kPersistent);
  for (std::uint64_t step = 1; step <= 3; ++step) {
    p.runtime->BeginStep(step);
    std::vector<Saved> saved;
    const Allocation held = p.Make(RandomBytes(random, kSize));  // until no value needs it any more
    saved.push_back(p.Pack(held.storage, WholeOf(kSize)));
    for (int i = 0; i < 5; ++i) {
      const Bytes bytes = RandomBytes(random, kSize);
      const Allocation x = p.Make(bytes);
      const Allocation y = p.Make(bytes);
      EXPECT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
      Layout expanded = WholeOf(kSize);
      expanded.sizes = {3, static_cast<std::int64_t>(kSize) / 2};
      expanded.strides = {0, 1};
      for (const Layout& layout : {PartOf(0, 100), expanded, PartOf(50, kSize), WholeOf(kSize)}) {
        saved.push_back(p.Pack(x.storage, layout));
      }
      saved.push_back(p.Pack(y.storage, WholeOf(kSize)));
      saved.push_back(p.Pack(w.storage, PartOf(0, 512)));
      const Allocation z = p.Make(bytes);
      const auto write = [&p, bytes](const RecomputeArguments& a) {
        p.Write(a.destination, bytes, a.stream);
        return OkStatus();
      };
      EXPECT_TRUE(p.runtime->Recomputes({z.storage, WholeOf(kSize)}, {write, "write", 0, i % 2 == 0}).ok());
      saved.push_back(p.Pack(z.storage, WholeOf(kSize)));
      p.Retire(x.storage);
      p.Retire(y.storage);
      p.Retire(z.storage);
    }
    EXPECT_TRUE(p.runtime->Reclaim(0, 4 * kSize).ok());
    EXPECT_TRUE(p.runtime->Drain().ok());
    (void)p.Unpack(saved[1]);  // before anything comes back ahead
    p.runtime->BeginBackward();
    while (!saved.empty()) {
      if (saved.size() % 6 != 3) (void)p.Unpack(saved.back());  // the others are dropped without being asked for
      saved.pop_back();
    }
    p.Retire(held.storage);
    p.BeginWrite(w.storage);
    EXPECT_TRUE(p.runtime->Drain().ok());  // what is copied or waited for lies within the step
    for (const Stream stream : p.streams) EXPECT_TRUE(p.runtime->Synchronize(stream).ok());
    p.runtime->EndStep();
  }
  p.Retire(w.storage);
  EXPECT_TRUE(p.runtime->Drain().ok());
  for (const Stream stream : p.streams) EXPECT_TRUE(p.runtime->Synchronize(stream).ok());
  return {p.runtime->statistics(), p.runtime->StallsByStorage(0)};
}

// Counters of the ledger and what the summary of the trace has for each.
struct Figure {
  const char* name;
  std::uint64_t Ledger::*counter;
  std::uint64_t trace::Summary::*figure;
};
constexpr Figure kFigures[] = {
    {"packs", &Ledger::packs, &trace::Summary::packs},
    {"unpacks", &Ledger::unpacks, &trace::Summary::unpacks},
    {"naive", &Ledger::naive, &trace::Summary::naive},
    {"moved", &Ledger::moved, &trace::Summary::moved},
    {"avoided_identity", &Ledger::avoided_identity, &trace::Summary::avoided_identity},
    {"avoided_lineage", &Ledger::avoided_lineage, &trace::Summary::avoided_lineage},
    {"avoided_recompute", &Ledger::avoided_recompute, &trace::Summary::avoided_recompute},
    {"frees_nothing", &Ledger::frees_nothing, &trace::Summary::frees_nothing},
    {"kept", &Ledger::kept, &trace::Summary::kept},
    {"reconsidered", &Ledger::reconsidered, &trace::Summary::reconsidered},
    {"freed", &Ledger::freed, &trace::Summary::freed},
    {"freed_made_again", &Ledger::freed_made_again, &trace::Summary::freed_made_again},
    {"freed_nothing", &Ledger::freed_nothing, &trace::Summary::freed_nothing},
    {"moved_in", &Ledger::moved_in, &trace::Summary::moved_in},
    {"taken_back", &Ledger::taken_back, &trace::Summary::taken_back},
    {"prefetched", &Ledger::prefetched, &trace::Summary::prefetched},
    {"prefetched_in_vain", &Ledger::prefetched_in_vain, &trace::Summary::prefetched_in_vain},
    {"prefetch_missed", &Ledger::prefetch_missed, &trace::Summary::prefetch_missed},
    {"replayed", &Ledger::replayed, &trace::Summary::replayed},
    {"recomputed", &Ledger::recomputed, &trace::Summary::recomputed},
    {"recomputes", &Ledger::recomputes, &trace::Summary::recomputes},
};

// Waits by label, one figure for each cause: as the trace has them, and as the ledger of time has.
using Waits = std::map<std::string, std::map<std::string, std::uint64_t>>;
Waits WaitsOf(const trace::Summary& summary) {
  Waits waits;
  for (const trace::StallSummary& stall : summary.stalls) {
    waits[stall.label]["count"] += stall.count;
    waits[stall.label][trace::StallCauseName(stall.cause)] += stall.ns;
  }
  return waits;
}
Waits WaitsOf(const std::vector<StorageStalls>& by_storage) {
  Waits waits;
  for (const StorageStalls& one : by_storage) {
    std::map<std::string, std::uint64_t>& wait = waits[one.label];
    const auto add = [&](trace::StallCause cause, std::uint64_t ns) {
      if (ns > 0) wait[trace::StallCauseName(cause)] += ns;
    };
    wait["count"] = one.count + one.host_count;
    add(trace::StallCause::kLateCopyIn, one.times.late_copy_in_ns);
    add(trace::StallCause::kCopyOutTail, one.times.copy_out_tail_ns);
    add(trace::StallCause::kWriteFence, one.times.write_fence_ns);
    add(trace::StallCause::kAllocation, one.times.allocation_ns + one.host_times.allocation_ns);
    add(trace::StallCause::kProducer, one.times.producer_ns);
    add(trace::StallCause::kHostPool, one.host_times.host_pool_ns);
    add(trace::StallCause::kDisk, one.host_times.disk_ns);
    add(trace::StallCause::kContention, one.host_times.contention_ns);
    add(trace::StallCause::kChecksum, one.host_times.checksum_ns);
  }
  return waits;
}

TEST_F(TraceFigures, AreThoseOfTheStatistics) {
  struct Treatment {
    const char* name;
    OffloadMode mode;
    OffloadPolicy policy;
    std::uint64_t host;
    std::uint64_t spare = 0;
    std::uint64_t ahead = 0;
    std::uint64_t in_flight = 0;
    bool on_disk = false;  // and with checksums
  };
  std::map<std::string, std::uint64_t> seen;  // over all treatments
  const Treatment treatments[] = {
      {"off", OffloadMode::kOff, OffloadPolicy::kAll, MiB(8)},
      {"naive", OffloadMode::kNaive, OffloadPolicy::kAll, MiB(8)},
      {"naive, full host", OffloadMode::kNaive, OffloadPolicy::kAll, 4 * kSize},
      {"all", OffloadMode::kMarshal, OffloadPolicy::kAll, MiB(8)},
      {"all, full host", OffloadMode::kMarshal, OffloadPolicy::kAll, 4 * kSize},
      {"fit", OffloadMode::kMarshal, OffloadPolicy::kFit, MiB(8)},
      {"all, had back", OffloadMode::kMarshal, OffloadPolicy::kAll, MiB(8), MiB(1)},
      {"all, ahead", OffloadMode::kMarshal, OffloadPolicy::kAll, MiB(8), 0, 3 * kSize},
      {"all, few in flight", OffloadMode::kMarshal, OffloadPolicy::kAll, MiB(8), 0, 0, kSize},
      {"all, on disk", OffloadMode::kMarshal, OffloadPolicy::kAll, 0, 0, 0, 0, true},
  };
  for (const Treatment& t : treatments) {
    SCOPED_TRACE(t.name);
    Options options = DeterministicOptions(5, t.mode, t.policy);
    options.pinned_limit = t.host;
    options.pageable_limit = 0;
    options.devices[0].spare_bytes = t.spare;
    options.devices[0].prefetch_bytes = t.ahead;
    options.devices[0].in_flight_limit = t.in_flight;
    options.checksums = t.on_disk;
    if (t.on_disk) options.file_directory = folder_.string();
    options.trace = (folder_ / "run.tlt").string();
    const auto [statistics, by_storage] = RunSteps(options);
    const Ledger& l = statistics.total;
    const StatusOr<trace::Trace> read = trace::ReadTraceFile(options.trace);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->closed);
    const trace::Summary s = trace::Summarize(*read);
    EXPECT_EQ(s.problem_count, 0u);
    EXPECT_EQ(s.steps.count, 3u);
    for (const Figure& figure : kFigures) {
      EXPECT_EQ(s.*figure.figure, l.*figure.counter) << figure.name;
      seen[figure.name] += l.*figure.counter;
    }
    if (t.ahead > 0) {
      EXPECT_EQ(l.moved_in, l.prefetched + l.prefetch_missed);
    }
    if (t.mode == OffloadMode::kMarshal && t.policy == OffloadPolicy::kAll) {
      EXPECT_EQ(l.moved, l.freed - l.freed_made_again + l.freed_nothing);
    }
    EXPECT_EQ(s.recomputed_instead.bytes, statistics.fallbacks.to_recompute_bytes);
    const trace::TransferSummary& out = s.transfers[static_cast<std::size_t>(trace::DirectionCode::kOut)];
    const trace::TransferSummary& in = s.transfers[static_cast<std::size_t>(trace::DirectionCode::kIn)];
    EXPECT_EQ(out.bytes, l.engine_out);
    EXPECT_EQ(out.count, l.copies_out);
    EXPECT_EQ(out.unfinished, 0u);
    EXPECT_EQ(in.bytes, l.engine_in);
    EXPECT_EQ(in.count, l.copies_in);
    const DeviceTimes& times = statistics.times.at(0);
    EXPECT_EQ(times.total.steps, 3u);
    EXPECT_EQ(times.total.unmeasured, 0u);
    EXPECT_EQ(WaitsOf(s), WaitsOf(by_storage));
    for (const auto& [label, wait] : WaitsOf(s)) {
      for (const auto& [cause, ns] : wait) seen[cause] += ns;
    }
    std::uint64_t host_waits = 0;
    for (const StorageStalls& one : by_storage) host_waits += one.host_count;
    EXPECT_EQ(s.stall_count, l.stalls + host_waits);
    EXPECT_EQ(s.time.transfer_ns, times.total.transfer_ns);
    EXPECT_EQ(s.time.exposed_ns, times.total.exposed_ns);
    EXPECT_EQ(s.time.hidden_ns, times.total.hidden_ns);
    for (const trace::TierSummary& tier : s.tiers) {
      const TierStatistics& figures = tier.tier == trace::TierCode::kDevice   ? statistics.device
                                      : tier.tier == trace::TierCode::kPinned ? statistics.pinned
                                      : tier.tier == trace::TierCode::kFile   ? statistics.file
                                                                              : statistics.pageable;
      EXPECT_TRUE(tier.consistent);
      EXPECT_EQ(tier.peak_bytes, figures.live_peak) << trace::TierCodeName(tier.tier);
      EXPECT_EQ(tier.live_at_end, 0u) << trace::TierCodeName(tier.tier);
    }
    ExpectBookedOnce(l);
  }
  for (const Figure& figure : kFigures) EXPECT_GT(seen[figure.name], 0u) << figure.name;
  for (const trace::StallCause cause :
       {trace::StallCause::kLateCopyIn, trace::StallCause::kHostPool, trace::StallCause::kDisk,
        trace::StallCause::kContention, trace::StallCause::kChecksum}) {
    EXPECT_GT(seen[trace::StallCauseName(cause)], 0u) << trace::StallCauseName(cause);
  }
}

// What the link achieves at most stands in the header, where the options say it.
TEST_F(TraceFigures, TheHeaderHasTheLinksCeilings) {
  const std::string path = (folder_ / "run.tlt").string();
  const auto ceilings = [&](const Options& options) {
    EXPECT_TRUE(Runtime::Create(options).ok());
    const trace::Trace trace = trace::ReadTraceFile(path).value();
    EXPECT_EQ(trace.problem_count, 0u);
    return trace.ceiling_bytes_per_s;
  };
  Options options;
  options.trace = path;
  EXPECT_EQ(ceilings(options), (std::array<std::uint64_t, 2>{0, 0}));
  options.devices[0].emulated.copy_out_bytes_per_s = 1e9;
  EXPECT_EQ(ceilings(options), (std::array<std::uint64_t, 2>{1'000'000'000, 0}));
  options.devices[0].copy_bytes_per_s = 3e9;
  EXPECT_EQ(ceilings(options), (std::array<std::uint64_t, 2>{1'000'000'000, 3'000'000'000}));
  options.devices.push_back(options.devices[0]);
  options.devices[1].device = 1;
  EXPECT_EQ(ceilings(options), (std::array<std::uint64_t, 2>{0, 0})) << "records do not say which device they are of";
}

// Copies of an emulated link are never faster than it was told to be, and near that where they are long.
TEST(LinkCeiling, IsMeasuredByCopies) {
  DeviceOptions options;
  options.emulated.copy_out_bytes_per_s = 4e8;
  options.emulated.copy_in_bytes_per_s = 8e8;
  const auto device = MakeDevice(options);
  ASSERT_TRUE(device.ok()) << device.status();
  const StatusOr<internal::LinkCeiling> measured = internal::MeasureLink(**device, MiB(4));
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_LE(measured->out_bytes_per_s, 408'000'000u);
  EXPECT_LE(measured->in_bytes_per_s, 816'000'000u);
  EXPECT_GE(measured->out_bytes_per_s, 100'000'000u);  // the machine may be busy
  EXPECT_GE(measured->in_bytes_per_s, 100'000'000u);
  EXPECT_EQ((*device)->CopiedBytes(CopyDirection::kDeviceToHost), 4 * MiB(4));
}

}  // namespace
}  // namespace tierlib
