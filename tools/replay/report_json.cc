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
  return json;
}

Json Failures(const ReplayResult& result) {
  Json json = {{"count", result.failures}, {"bytes", result.failed_bytes}};
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
                 {"streams", report.program->streams}}},
               {"failures", Failures(result)},
               {"peak",
                {{"operation", result.peak.step},
                 {"live", result.peak.live},
                 {"rounding", result.peak.rounding},
                 {"reserved", result.peak.reserved}}},
               {"reserved_over_live", result.peak.live > 0 ? Json(report.ReservedOverLive()) : Json(nullptr)},
               {"reserved", result.reserved_at_end},
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
