#include <cstdio>
#include <nlohmann/json.hpp>

#include "replay_command.h"

namespace tierlib::trace_replay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

Json Pool(const PoolConfiguration& pool) {
  Json json = {{"tier", TierName(pool.tier)}, {"alignment", pool.alignment}, {"growth", pool.growth}};
  json["capacity"] = pool.capacity.has_value() ? Json(*pool.capacity) : Json(nullptr);
  json["backing"] = pool.tier == Tier::kDevice ? Json(BackingName(pool.backing)) : Json(nullptr);
  json["granularity"] = pool.granularity != 0 ? Json(pool.granularity) : Json(nullptr);
  json["spare"] = pool.spare_bytes;
  json["lag_operations"] = pool.lag;
  json["cached_limit"] = pool.cached_limit != PoolConfiguration::kUnlimited ? Json(pool.cached_limit) : Json(nullptr);
  json["cached_age_ns"] = pool.cached_age_ns;
  json["step_operations"] = pool.step_operations;
  json["tag_limits"] = Json::object();
  for (std::size_t tag = 0; tag < trace::kTagCount; ++tag) {
    if (pool.tag_limits[tag] == NoTagLimits()[tag]) continue;
    json["tag_limits"][trace::TagName(static_cast<trace::Tag>(tag))] = pool.tag_limits[tag];
  }
  json["hardened"] = pool.hardened;
  json["quarantine"] = pool.hardened ? Json(pool.quarantine) : Json(nullptr);
  json["threads_take_turns"] = pool.threads_take_turns;
  return json;
}

Json Failures(const ReplayResult& result) {
  Json json = {{"count", result.failures}, {"bytes", result.failed_bytes}, {"by_tag_limit", result.tag_limit_failures}};
  json["first_operation"] = result.failures > 0 ? Json(result.first_failure) : Json(nullptr);
  return json;
}

Json Trace(const ReplayReport& report) {
  return {{"failures", report.program->recorded_failures},
          {"failures_that_fit", report.result.recorded_failures_fit},
          {"unknown_frees", report.program->unknown_frees},
          {"missing_frees", report.program->missing_frees},
          {"null_pointers", report.trace->null_pointers},
          {"problems", {{"count", report.trace->problem_count}, {"list", report.trace->problems}}}};
}

}  // namespace

std::string ReportJson(const ReplayReport& report) {
  const ReplayResult& result = report.result;
  char crc[16];
  std::snprintf(crc, sizeof crc, "%08x", result.addresses);
  Json json = {{"schema_version", kSchemaVersion},
               {"file", report.file},
               {"format", report.format->name},
               {"pool", Pool(report.pool)},
               {"operations",
                {{"count", result.operations},
                 {"allocations", report.program->allocations},
                 {"frees", report.program->frees},
                 {"streams", report.program->streams},
                 {"step_ends", report.program->step_ends}}},
               {"failures", Failures(result)},
               {"peak",
                {{"operation", result.peak.step},
                 {"live", result.peak.live},
                 {"rounding", result.peak.rounding},
                 {"reserved", result.peak.reserved}}},
               {"reserved_over_live", result.peak.live > 0 ? Json(report.ReservedOverLive()) : Json(nullptr)},
               {"reserved", result.reserved_most},
               {"reserved_at_end", result.reserved_at_end},
               {"given_back", result.given_back},
               {"waits", report.pool.lag > 0 ? Json(result.waits) : Json(nullptr)},
               {"live_at_end", result.live_at_end},
               {"fragmentation",
                {{"worst", report.Fragmentation()},
                 {"operation", result.worst.step},
                 {"free", result.worst.free},
                 {"largest_hole", result.worst.largest_hole}}},
               {"addresses_crc32c", crc},
               {"repeated_equally", result.repeated_equally},
               {"trace", Trace(report)},
               {"ns_per_operation", result.ns_per_operation}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace tierlib::trace_replay
