#include "ranks_json.h"
#include "summary_command.h"

namespace tierlib::trace_viewer {
namespace {

using Json = nlohmann::ordered_json;

Json SlowSteps(const trace::StepSummary& steps) {
  Json list = Json::array();
  for (const trace::SlowStep& slow : steps.slow) {
    Json excess = Json::array();
    for (const trace::StepExcess& more : slow.excess) {
      excess.push_back({{"what", trace::StepExcessKindName(more.kind)},
                        {"name", more.name},
                        {"unit", more.is_time() ? "ns" : "bytes"},
                        {"amount", more.amount},
                        {"median", more.median}});
    }
    list.push_back({{"step", slow.number}, {"begin_ns", slow.begin_ns}, {"ns", slow.ns}, {"more_than_median", excess}});
  }
  return list;
}

Json Steps(const trace::StepSummary& steps) {
  Json json = {{"count", steps.count}, {"unfinished", steps.unfinished}, {"median_ns", steps.median_ns}};
  if (steps.count == 0) {
    json["slowest"] = nullptr;
    json["slow"] = Json::array();
    return json;
  }
  Json excess = Json::array();
  for (const auto& more : steps.slowest_excess) {
    excess.push_back({{"cause", trace::StallCauseName(more.cause)}, {"ns", more.ns}});
  }
  json["slowest"] = {{"step", steps.slowest_step}, {"ns", steps.slowest_ns}, {"stalled_beyond_median", excess}};
  json["slow"] = SlowSteps(steps);
  return json;
}

Json Bytes(const trace::Summary& summary) {
  Json decisions = Json::array();
  for (const trace::DecisionSummary& decision : summary.decisions) {
    decisions.push_back({{"action", trace::DecisionActionName(decision.action)},
                         {"reason", trace::DecisionReasonName(decision.reason)},
                         {"count", decision.count},
                         {"bytes", decision.bytes}});
  }
  return {{"packs", summary.packs},
          {"unpacks", summary.unpacks},
          {"naive", summary.naive},
          {"moved", summary.moved},
          {"avoided",
           {{"identity", summary.avoided_identity},
            {"lineage", summary.avoided_lineage},
            {"recompute", summary.avoided_recompute},
            {"frees_nothing", summary.frees_nothing}}},
          {"kept", summary.kept},
          {"replayed", summary.replayed},
          {"recomputed", summary.recomputed},
          {"recomputes", summary.recomputes},
          {"reconsidered", summary.reconsidered},
          {"freed", summary.freed},
          {"freed_made_again", summary.freed_made_again},
          {"freed_nothing", summary.freed_nothing},
          {"moved_in", summary.moved_in},
          {"taken_back", summary.taken_back},
          {"prefetched", summary.prefetched},
          {"prefetched_in_vain", summary.prefetched_in_vain},
          {"prefetch_missed", summary.prefetch_missed},
          {"decisions", decisions}};
}

Json Transfers(const trace::TransferSummary& transfers) {
  const std::uint64_t ceiling = transfers.ceiling_bytes_per_s;
  return {{"count", transfers.count},
          {"bytes", transfers.bytes},
          {"failed", transfers.failed},
          {"unfinished", transfers.unfinished},
          {"finished_bytes", transfers.finished_bytes},
          {"busy_ns", transfers.busy_ns},
          {"bytes_per_second", transfers.BytesPerSecond()},
          {"ceiling_bytes_per_second", ceiling == 0 ? Json(nullptr) : Json(ceiling)}};
}

Json Stalls(const trace::Summary& summary) {
  Json by_storage = Json::array();
  for (const trace::StallSummary& stall : summary.stalls) {
    by_storage.push_back({{"storage", stall.label},
                          {"cause", trace::StallCauseName(stall.cause)},
                          {"count", stall.count},
                          {"ns", stall.ns}});
  }
  return {{"count", summary.stall_count}, {"total_ns", summary.stall_ns}, {"by_storage", by_storage}};
}

Json Time(const trace::TimeSummary& time) {
  return {{"compute_ns", time.compute_ns},
          {"unknown_ns", time.unknown_ns},
          {"transfer_ns", time.transfer_ns},
          {"exposed_ns", time.exposed_ns},
          {"hidden_ns", time.hidden_ns}};
}

Json Tiers(const trace::Summary& summary) {
  Json tiers = Json::array();
  for (const trace::TierSummary& tier : summary.tiers) {
    Json by_tag = Json::object();
    for (const trace::TagBytes& part : tier.at_peak) by_tag[trace::TagName(part.tag)] = part.bytes;
    tiers.push_back({{"tier", trace::TierCodeName(tier.tier)},
                     {"capacity", tier.capacity},
                     {"peak_bytes", tier.peak_bytes},
                     {"peak_time_ns", tier.peak_time_ns},
                     {"peak_by_tag", by_tag},
                     {"reserved_at_peak", tier.reserved_at_peak},
                     {"unused_at_peak", tier.unused_at_peak},
                     {"untagged_at_peak", tier.untagged_at_peak},
                     {"live_at_end", tier.live_at_end},
                     {"times_full", tier.times_full},
                     {"consistent", tier.consistent}});
  }
  return tiers;
}

Json Fallbacks(const trace::Summary& summary) {
  Json list = Json::array();
  const auto add = [&](const char* to, const trace::FallbackSummary& sum) {
    if (sum.count > 0) list.push_back({{"to", to}, {"count", sum.count}, {"bytes", sum.bytes}});
  };
  for (std::size_t tier = 0; tier < trace::kTierCodeCount; ++tier) {
    add(trace::TierCodeName(static_cast<trace::TierCode>(tier)), summary.fallbacks[tier]);
  }
  add("recompute", summary.recomputed_instead);
  add("none", summary.refused);
  return list;
}

Json Problems(const trace::Summary& summary) {
  Json list = Json::array();
  for (const trace::Problem& problem : summary.problems) {
    list.push_back({{"offset", problem.offset}, {"what", problem.what}});
  }
  return {{"count", summary.problem_count}, {"list", list}};
}

}  // namespace

nlohmann::ordered_json SummaryFields(const trace::Summary& summary) {
  return {
      {"device", summary.device},
      {"device_capacity", summary.device_capacity},
      {"pinned_capacity", summary.pinned_capacity},
      {"rank", summary.rank},
      {"process_id", summary.process_id},
      {"start_wall_ns", summary.start_wall_ns},
      {"duration_ns", summary.duration_ns},
      {"records", summary.records},
      {"closed", summary.closed},
      {"dropped", summary.dropped},
      {"steps", Steps(summary.steps)},
      {"bytes", Bytes(summary)},
      {"transfers",
       {{"out", Transfers(summary.transfers[static_cast<int>(trace::DirectionCode::kOut)])},
        {"in", Transfers(summary.transfers[static_cast<int>(trace::DirectionCode::kIn)])},
        {"within", Transfers(summary.transfers[static_cast<int>(trace::DirectionCode::kWithin)])}}},
      {"time", Time(summary.time)},
      {"stalls", Stalls(summary)},
      {"tiers", Tiers(summary)},
      {"host_fallbacks", Fallbacks(summary)},
      {"problems", Problems(summary)},
  };
}

std::string SummaryJson(const std::string& file, const std::vector<trace::Summary>& ranks) {
  std::vector<Json> all;
  for (const trace::Summary& summary : ranks) all.push_back(SummaryFields(summary));
  return RanksJson(file, std::move(all));
}

std::string SummaryJson(const std::string& file, const trace::Summary& summary) {
  return SummaryJson(file, std::vector<trace::Summary>{summary});
}

}  // namespace tierlib::trace_viewer
