#include "ranks_json.h"

namespace tierlib::trace_viewer {

std::string ObjectJson(const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json json = {{"schema_version", kSchemaVersion}};
  json.update(fields);
  // Labels come from the traced program and may be no UTF-8; JSON must be.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::string RanksJson(const std::string& file, std::vector<nlohmann::ordered_json> ranks,
                      const nlohmann::ordered_json& more) {
  nlohmann::ordered_json json = {{"file", file}};
  json.update(more);
  if (ranks.size() == 1) {
    json.update(ranks.front());
  } else {
    json["ranks"] = std::move(ranks);
  }
  return ObjectJson(json);
}

}  // namespace tierlib::trace_viewer
