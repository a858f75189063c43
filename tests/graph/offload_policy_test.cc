// The offload decision as a table of questions and answers.
#include "graph/offload_policy.h"

#include <optional>
#include <ostream>
#include <string>

#include "gtest/gtest.h"

namespace tierlib {
namespace {

using Action = trace::DecisionAction;
using Reason = trace::DecisionReason;
constexpr auto kOff = OffloadMode::kOff;
constexpr auto kNaive = OffloadMode::kNaive;
constexpr auto kMarshal = OffloadMode::kMarshal;
constexpr auto kAll = OffloadPolicy::kAll;
constexpr auto kFit = OffloadPolicy::kFit;
constexpr auto kTransient = Holds::kTransient;
constexpr auto kPersistent = Holds::kPersistent;

struct Row {
  const char* what;
  PackQuestion question;
  Decision answer;
};

PackQuestion Ask(OffloadMode mode, OffloadPolicy policy, Holds holds, std::uint64_t missing, bool lineage = false,
                 bool memory_short = false, std::uint64_t minimum = 0, std::optional<bool> planned = std::nullopt) {
  return {mode, policy, holds, /*logical_bytes=*/100, minimum, missing, lineage, memory_short, planned};
}

// With a recompute that takes `ns` where the copies take 1000, on a host that is full or not.
PackQuestion Computable(PackQuestion q, std::uint64_t ns, bool always = false, bool host_full = false) {
  q.recompute_known = true;
  q.recompute_always = always;
  q.recompute_ns = ns;
  q.copies_ns = 1000;
  q.host_full = host_full;
  return q;
}

PackQuestion OnAFullHost(PackQuestion q) {
  q.host_full = true;
  return q;
}

PackQuestion Scattered(PackQuestion q) {
  q.scattered = true;
  return q;
}

TEST(OffloadPolicy, AnswersAsTheTableSays) {
  const Row rows[] = {
      {"what is scattered stays", Scattered(Ask(kMarshal, kAll, kTransient, 100)), {Action::kKeep, Reason::kScattered}},
      {"what is scattered and there is not kept",
       Scattered(Ask(kMarshal, kAll, kTransient, 0)),
       {Action::kReference, Reason::kSameStorage}},
      {"scattered parameters free nothing",
       Scattered(Ask(kMarshal, kAll, kPersistent, 100)),
       {Action::kFreesNothing, Reason::kPersistent}},
      {"off moves nothing", Ask(kOff, kAll, kTransient, 100), {Action::kKeep, Reason::kMode}},
      {"off, even where memory is short",
       Ask(kOff, kFit, kTransient, 100, false, true),
       {Action::kKeep, Reason::kMode}},
      {"naive copies", Ask(kNaive, kAll, kTransient, 100), {Action::kMove, Reason::kMode}},
      {"naive copies what is there already", Ask(kNaive, kAll, kTransient, 0), {Action::kMove, Reason::kMode}},
      {"naive copies parameters", Ask(kNaive, kFit, kPersistent, 100, true), {Action::kMove, Reason::kMode}},
      {"new bytes move", Ask(kMarshal, kAll, kTransient, 100), {Action::kMove, Reason::kPolicy}},
      {"bytes that are there do not", Ask(kMarshal, kAll, kTransient, 0), {Action::kReference, Reason::kSameStorage}},
      {"identity comes before lineage",
       Ask(kMarshal, kAll, kTransient, 0, true),
       {Action::kReference, Reason::kSameStorage}},
      {"a part that is missing moves", Ask(kMarshal, kAll, kTransient, 1), {Action::kMove, Reason::kPolicy}},
      {"lineage comes before moving", Ask(kMarshal, kAll, kTransient, 100, true), {Action::kReplay, Reason::kLineage}},
      {"parameters stay", Ask(kMarshal, kAll, kPersistent, 100), {Action::kFreesNothing, Reason::kPersistent}},
      {"parameters stay under fit",
       Ask(kMarshal, kFit, kPersistent, 100),
       {Action::kFreesNothing, Reason::kPersistent}},
      {"parameters stay where memory is short",
       Ask(kMarshal, kFit, kPersistent, 100, true, true),
       {Action::kFreesNothing, Reason::kPersistent}},
      {"small values stay",
       Ask(kMarshal, kAll, kTransient, 100, false, false, 101),
       {Action::kKeep, Reason::kTooSmall}},
      {"small is below the minimum",
       Ask(kMarshal, kAll, kTransient, 100, false, false, 100),
       {Action::kMove, Reason::kPolicy}},
      {"small values of a storage that is there refer to it",
       Ask(kMarshal, kAll, kTransient, 0, false, false, 101),
       {Action::kReference, Reason::kSameStorage}},
      {"fit keeps while memory is ample", Ask(kMarshal, kFit, kTransient, 100), {Action::kKeep, Reason::kPolicy}},
      {"fit keeps what is there too", Ask(kMarshal, kFit, kTransient, 0), {Action::kKeep, Reason::kPolicy}},
      {"fit moves where memory is short",
       Ask(kMarshal, kFit, kTransient, 100, false, true),
       {Action::kMove, Reason::kMemoryShort}},
      {"fit replays before it moves",
       Ask(kMarshal, kFit, kTransient, 100, true, true),
       {Action::kReplay, Reason::kLineage}},
      {"a full host keeps", OnAFullHost(Ask(kMarshal, kAll, kTransient, 100)), {Action::kKeep, Reason::kHostFull}},
      {"what is there needs no host",
       OnAFullHost(Ask(kMarshal, kAll, kTransient, 0)),
       {Action::kReference, Reason::kSameStorage}},
      {"what can be computed moves while it may",
       Computable(Ask(kMarshal, kAll, kTransient, 100), 0),
       {Action::kMove, Reason::kPolicy}},
      {"and is computed where the host is full",
       Computable(Ask(kMarshal, kAll, kTransient, 100), 0, false, true),
       {Action::kRecompute, Reason::kHostFull}},
      {"computing that is cheaper",
       Computable(Ask(kMarshal, kAll, kTransient, 100), 999),
       {Action::kRecompute, Reason::kCheaper}},
      {"computing that is as dear",
       Computable(Ask(kMarshal, kAll, kTransient, 100), 1000),
       {Action::kMove, Reason::kPolicy}},
      {"lineage comes before computing",
       Computable(Ask(kMarshal, kAll, kTransient, 100, true), 1),
       {Action::kReplay, Reason::kLineage}},
      {"small values stay though they could be computed",
       Computable(Ask(kMarshal, kAll, kTransient, 100, false, false, 101), 1),
       {Action::kKeep, Reason::kTooSmall}},
      {"fit keeps what could be computed",
       Computable(Ask(kMarshal, kFit, kTransient, 100), 1),
       {Action::kKeep, Reason::kPolicy}},
      {"until memory is short",
       Computable(Ask(kMarshal, kFit, kTransient, 100, false, true), 1),
       {Action::kRecompute, Reason::kCheaper}},
      {"what a region claims is computed whatever the rest",
       Computable(Ask(kMarshal, kFit, kTransient, 100, true, false, 101), 5000, true),
       {Action::kRecompute, Reason::kClaimed}},
      {"unless it is there",
       Computable(Ask(kMarshal, kFit, kTransient, 0, true, false, 101), 5000, true),
       {Action::kReference, Reason::kSameStorage}},
      {"parameters stay though they are claimed",
       Computable(Ask(kMarshal, kAll, kPersistent, 100), 1, true, true),
       {Action::kFreesNothing, Reason::kPersistent}},
      {"off computes nothing", Computable(Ask(kOff, kAll, kTransient, 100), 1, true), {Action::kKeep, Reason::kMode}},
      {"nor does naive", Computable(Ask(kNaive, kAll, kTransient, 100), 1, true), {Action::kMove, Reason::kMode}},
      {"fit moves what the plan moves",
       Ask(kMarshal, kFit, kTransient, 100, false, false, 0, true),
       {Action::kMove, Reason::kPeak}},
      {"fit keeps what the plan keeps, and says why",
       Ask(kMarshal, kFit, kTransient, 100, false, false, 0, false),
       {Action::kKeep, Reason::kPeak}},
      {"all keeps what the plan keeps",
       Ask(kMarshal, kAll, kTransient, 100, false, false, 0, false),
       {Action::kKeep, Reason::kPeak}},
      {"all moves what the plan moves",
       Ask(kMarshal, kAll, kTransient, 100, false, false, 0, true),
       {Action::kMove, Reason::kPeak}},
      {"memory that is short counts more than the plan",
       Ask(kMarshal, kFit, kTransient, 100, false, true, 0, false),
       {Action::kMove, Reason::kMemoryShort}},
      {"and is the reason where both say so",
       Ask(kMarshal, kFit, kTransient, 100, false, true, 0, true),
       {Action::kMove, Reason::kMemoryShort}},
      {"what the plan moves is referred to where it is there",
       Ask(kMarshal, kFit, kTransient, 0, false, false, 0, true),
       {Action::kReference, Reason::kSameStorage}},
      {"what the plan keeps is referred to where it is there",
       Ask(kMarshal, kAll, kTransient, 0, false, false, 0, false),
       {Action::kReference, Reason::kSameStorage}},
      {"what the plan moves is replayed where it can be",
       Ask(kMarshal, kFit, kTransient, 100, true, false, 0, true),
       {Action::kReplay, Reason::kLineage}},
      {"what the plan keeps is not replayed",
       Ask(kMarshal, kAll, kTransient, 100, true, false, 0, false),
       {Action::kKeep, Reason::kPeak}},
      {"the plan moves nothing small",
       Ask(kMarshal, kFit, kTransient, 100, false, false, 101, true),
       {Action::kKeep, Reason::kTooSmall}},
      {"nor parameters",
       Ask(kMarshal, kFit, kPersistent, 100, false, false, 0, true),
       {Action::kFreesNothing, Reason::kPersistent}},
      {"off has no plan", Ask(kOff, kAll, kTransient, 100, false, false, 0, true), {Action::kKeep, Reason::kMode}},
      {"nor has naive", Ask(kNaive, kAll, kTransient, 100, false, false, 0, false), {Action::kMove, Reason::kMode}},
  };
  for (const Row& row : rows) {
    const Decision decision = Decide(row.question);
    EXPECT_EQ(decision.action, row.answer.action) << row.what << ": " << trace::DecisionActionName(decision.action);
    EXPECT_EQ(decision.reason, row.answer.reason) << row.what << ": " << trace::DecisionReasonName(decision.reason);
  }
}

// Every question there is: what must hold whatever else is asked.
TEST(OffloadPolicy, NeverMovesWhatMayNotMove) {
  int questions = 0;
  for (int bits = 0; bits < 3 * 4096; ++bits) {
    for (const OffloadMode mode : {kOff, kNaive, kMarshal}) {
      PackQuestion q = Ask(mode, (bits & 1) != 0 ? kFit : kAll, (bits & 2) != 0 ? kPersistent : kTransient,
                           (bits & 4) != 0 ? 100 : 0, (bits & 8) != 0, (bits & 16) != 0, (bits & 32) != 0 ? 101 : 0);
      q.logical_bytes = (bits & 64) != 0 ? 1000 : 100;
      q.host_full = (bits & 128) != 0;
      q.recompute_known = (bits & 256) != 0;
      q.recompute_always = q.recompute_known && (bits & 512) != 0;
      q.recompute_ns = (bits & 1024) != 0 ? 7 : 0;
      q.copies_ns = (bits & 2048) != 0 ? 8 : 0;
      if (bits / 4096 > 0) q.planned = bits / 4096 == 1;
      const Decision decision = Decide(q);
      const bool moves = decision.action == Action::kMove;
      EXPECT_EQ(mode == kOff && decision.action != Action::kKeep, false);
      EXPECT_EQ(mode == kNaive && !moves, false);
      if (mode != kMarshal) continue;
      EXPECT_FALSE(moves && q.holds == kPersistent) << bits;
      EXPECT_FALSE(moves && q.missing_bytes == 0) << bits;
      EXPECT_FALSE(moves && q.lineage_found) << bits;
      EXPECT_FALSE(moves && q.logical_bytes < q.minimum_bytes) << bits;
      EXPECT_FALSE(moves && q.policy == kFit && !q.memory_short && q.planned != true) << bits;
      EXPECT_FALSE(moves && q.planned == false && !q.memory_short) << bits;
      EXPECT_FALSE(decision.reason == Reason::kPeak && (!q.planned || q.memory_short)) << bits;
      EXPECT_EQ(decision.action == Action::kReplay, decision.reason == Reason::kLineage) << bits;
      EXPECT_FALSE(decision.action == Action::kReplay && !q.lineage_found) << bits;
      const bool computed = decision.action == Action::kRecompute;
      EXPECT_FALSE(computed && (!q.recompute_known || q.missing_bytes == 0 || q.holds == kPersistent)) << bits;
      EXPECT_FALSE((moves || decision.action == Action::kKeep) && q.recompute_always) << bits;
      EXPECT_FALSE(moves && q.host_full) << bits;
      EXPECT_FALSE(decision.reason == Reason::kCheaper && (q.recompute_ns == 0 || q.copies_ns == 0)) << bits;
      ++questions;
    }
  }
  EXPECT_EQ(questions, 3 * 4096);
}

TEST(OffloadPolicy, KnowsWhatCopiesTakeWhereSomebodySaidIt) {
  DeviceOptions device;
  EXPECT_EQ(CopiesNs(device, 1000), 0u);
  device.emulated.copy_out_bytes_per_s = 1e9;
  EXPECT_EQ(CopiesNs(device, 1000), 0u) << "one way alone";
  device.emulated.copy_in_bytes_per_s = 0.5e9;
  EXPECT_EQ(CopiesNs(device, 1000), 3000u);
  device.emulated.copy_latency_ns = 50;
  EXPECT_EQ(CopiesNs(device, 1000), 3100u);
  device.copy_bytes_per_s = 2e9;
  EXPECT_EQ(CopiesNs(device, 1000), 1000u) << "what the program says counts";
  device.kind = DeviceKind::kCuda;
  EXPECT_EQ(CopiesNs(device, 1000), 1000u);
  device.copy_bytes_per_s = 0;
  EXPECT_EQ(CopiesNs(device, 1000), 0u) << "emulated options say nothing of a GPU";
  device.copy_bytes_per_s = 1e-300;
  EXPECT_GT(CopiesNs(device, 1000), std::uint64_t{1} << 62);
}

}  // namespace
}  // namespace tierlib
