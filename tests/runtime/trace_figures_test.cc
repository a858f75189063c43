// A trace written beside a program and summarised says what the runtime's own counters say.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
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
Statistics RunSteps(const Options& options) {
  Program p(options);
  Random random(9);
  const Allocation w = p.Make(RandomBytes(random, kSize), Holds::kPersistent);
  for (std::uint64_t step = 1; step <= 3; ++step) {
    p.runtime->BeginStep(step);
    std::vector<Saved> saved;
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
    p.runtime->BeginBackward();
    while (!saved.empty()) {
      (void)p.Unpack(saved.back());
      saved.pop_back();
    }
    p.BeginWrite(w.storage);
    p.runtime->EndStep();
  }
  p.Retire(w.storage);
  EXPECT_TRUE(p.runtime->Drain().ok());
  return p.runtime->statistics();
}

TEST_F(TraceFigures, AreThoseOfTheStatistics) {
  struct Treatment {
    const char* name;
    OffloadMode mode;
    OffloadPolicy policy;
    std::uint64_t host;
  };
  const Treatment treatments[] = {
      {"off", OffloadMode::kOff, OffloadPolicy::kAll, MiB(8)},
      {"naive", OffloadMode::kNaive, OffloadPolicy::kAll, MiB(8)},
      {"naive, full host", OffloadMode::kNaive, OffloadPolicy::kAll, 4 * kSize},
      {"all", OffloadMode::kMarshal, OffloadPolicy::kAll, MiB(8)},
      {"all, full host", OffloadMode::kMarshal, OffloadPolicy::kAll, 4 * kSize},
      {"fit", OffloadMode::kMarshal, OffloadPolicy::kFit, MiB(8)},
  };
  for (const Treatment& t : treatments) {
    SCOPED_TRACE(t.name);
    Options options = DeterministicOptions(5, t.mode, t.policy);
    options.pinned_limit = t.host;
    options.pageable_limit = 0;
    options.trace = (folder_ / "run.tlt").string();
    const Statistics statistics = RunSteps(options);
    const Ledger& l = statistics.total;
    const StatusOr<trace::Trace> read = trace::ReadTraceFile(options.trace);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->closed);
    const trace::Summary s = trace::Summarize(*read);
    EXPECT_EQ(s.problem_count, 0u);
    EXPECT_EQ(s.steps.count, 3u);
    EXPECT_EQ(s.packs, l.packs);
    EXPECT_EQ(s.unpacks, l.unpacks);
    EXPECT_EQ(s.naive, l.naive);
    EXPECT_EQ(s.moved, l.moved);
    EXPECT_EQ(s.avoided_identity, l.avoided_identity);
    EXPECT_EQ(s.avoided_lineage, l.avoided_lineage);
    EXPECT_EQ(s.frees_nothing, l.frees_nothing);
    EXPECT_EQ(s.kept, l.kept);
    EXPECT_EQ(s.replayed, l.replayed);
    EXPECT_EQ(s.avoided_recompute, l.avoided_recompute);
    EXPECT_EQ(s.recomputed, l.recomputed);
    EXPECT_EQ(s.recomputes, l.recomputes);
    EXPECT_EQ(s.recomputed_instead.bytes, statistics.fallbacks.to_recompute_bytes);
    const trace::TransferSummary& out = s.transfers[static_cast<std::size_t>(trace::DirectionCode::kOut)];
    const trace::TransferSummary& in = s.transfers[static_cast<std::size_t>(trace::DirectionCode::kIn)];
    EXPECT_EQ(out.bytes, l.engine_out);
    EXPECT_EQ(out.count, l.copies_out);
    EXPECT_EQ(out.unfinished, 0u);
    EXPECT_EQ(in.bytes, l.engine_in);
    EXPECT_EQ(in.count, l.copies_in);
    EXPECT_EQ(s.stall_count, l.stalls);
    for (const trace::TierSummary& tier : s.tiers) {
      const TierStatistics& figures = tier.tier == trace::TierCode::kDevice   ? statistics.device
                                      : tier.tier == trace::TierCode::kPinned ? statistics.pinned
                                                                              : statistics.pageable;
      EXPECT_TRUE(tier.consistent);
      EXPECT_EQ(tier.peak_bytes, figures.live_peak) << trace::TierCodeName(tier.tier);
      EXPECT_EQ(tier.live_at_end, 0u) << trace::TierCodeName(tier.tier);
    }
    ExpectBookedOnce(l);
  }
}

}  // namespace
}  // namespace tierlib
