// What --json prints of a file: one object, with "ranks" where the file is a merged one. All commands do it alike.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_RANKS_JSON_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_RANKS_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tierlib::trace_viewer {

// "schema_version" rises when a field of any command changes its meaning or goes away.
inline constexpr int kSchemaVersion = 1;

// {"schema_version", "file", `more`, then the fields of the one rank} or {..., "ranks": [the objects of all]}, as text.
std::string RanksJson(const std::string& file, std::vector<nlohmann::ordered_json> ranks,
                      const nlohmann::ordered_json& more = nlohmann::ordered_json::object());

// {"schema_version", `fields`}, as text.
std::string ObjectJson(const nlohmann::ordered_json& fields);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_RANKS_JSON_H_
