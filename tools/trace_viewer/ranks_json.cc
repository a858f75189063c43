#include "ranks_json.h"

namespace tierlib::trace_viewer {

std::string RanksJson(const std::string& file, std::vector<nlohmann::ordered_json> ranks,
                      const nlohmann::ordered_json& more) {
  nlohmann::ordered_json json = {{"schema_version", kSchemaVersion}, {"file", file}};
  json.update(more);
  if (ranks.size() == 1) {
    json.update(ranks.front());
  } else {
    json["ranks"] = std::move(ranks);
  }
  // Labels come from the traced program and may be no UTF-8; JSON must be.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace tierlib::trace_viewer
