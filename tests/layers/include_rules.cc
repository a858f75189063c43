#include "layers/include_rules.h"

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>
#include <string_view>

namespace tierlib {
namespace {

// Layer -> the layers that it may see besides itself.
const std::map<std::string, std::vector<std::string>>& Visible() {
  static const auto& table = *new std::map<std::string, std::vector<std::string>>{
      {"base", {}},
      {"trace", {"base"}},
      {"allocator", {"trace", "base"}},
      {"storage", {"allocator", "trace", "base"}},
      {"graph", {"storage", "allocator", "trace", "base"}},
      {"runtime", {"graph", "storage", "allocator", "trace", "base"}},
      {"autograd", {"runtime", "graph", "storage", "allocator", "trace", "base"}},
      {"dkm", {"comm", "io", "autograd", "runtime", "graph", "storage", "allocator", "trace", "base"}},
      {"comm", {"allocator", "trace", "base"}},
      {"io", {"base"}},
  };
  return table;
}

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// The path's part up to its first slash.
std::string First(std::string_view path) { return std::string(path.substr(0, path.find('/'))); }

// The layer whose interface a public header is; those that only describe data belong to base.
std::string LayerOfPublicHeader(std::string_view target) {
  const std::string_view name = target.substr(std::string_view("tierlib/").size());
  if (name.find('/') != std::string_view::npos) return First(name);
  if (name == "runtime.h" || name == "tierlib.h") return "runtime";
  if (name == "saved.h") return "graph";
  return "base";
}

bool IsCuda(std::string_view target) {
  static constexpr std::string_view kPrefixes[] = {
      "cuda", "cub/", "thrust/", "nccl", "nvtx", "nvToolsExt", "cooperative_groups", "cublas", "cupti"};
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view prefix) { return StartsWith(target, prefix); });
}

// Packages whose headers are written in quotes.
bool IsOutside(std::string_view target) {
  return StartsWith(target, "absl/") || StartsWith(target, "nlohmann/") || StartsWith(target, "hwy/");
}

std::string WhyForbiddenInLayer(const Include& include) {
  const std::string layer = First(std::string_view(include.file).substr(4));
  const auto visible = Visible().find(layer);
  if (visible == Visible().end()) return "src/" + layer + " is not a layer of docs/design.md";
  if (!include.quoted) return "";
  const std::string seen =
      StartsWith(include.target, "tierlib/") ? LayerOfPublicHeader(include.target) : First(include.target);
  if (seen == include.target) return "quoted includes name their layer: \"layer/file.h\"";
  if (seen == layer || IsOutside(include.target)) return "";
  const std::vector<std::string>& allowed = visible->second;
  if (std::find(allowed.begin(), allowed.end(), seen) != allowed.end()) return "";
  return layer + " may not see " + seen;
}

std::string WhyForbiddenInTool(const Include& include) {
  const std::string seen = First(include.target);
  if (!include.quoted || Visible().count(seen) == 0 || seen == "trace") return "";
  if (!StartsWith(include.file, "tools/replay/")) return "tools see public headers and trace only";
  const std::vector<std::string>& below = Visible().at("allocator");
  if (seen == "allocator" || std::find(below.begin(), below.end(), seen) != below.end()) return "";
  return "tools/replay sees public headers, allocator and what is below it only";
}

}  // namespace

std::vector<Include> FindIncludes(const std::string& file, const std::string& text) {
  static const auto& pattern = *new std::regex(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> includes;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (std::regex_search(line, match, pattern)) {
      includes.push_back(Include{file, number, match[2].str(), match[1].str() == "\""});
    }
  }
  return includes;
}

std::string WhyForbidden(const Include& include) {
  const bool in_cuda_folder = include.file.find("/cuda/") != std::string::npos;
  if (IsCuda(include.target) && !in_cuda_folder) return "CUDA is included below a cuda/ folder only";
  const bool absl = StartsWith(include.target, "absl/");
  if (absl && include.file.size() > 3 && include.file.substr(include.file.size() - 3) == ".cu") {
    return "nvcc sees no Abseil";
  }
  if (StartsWith(include.file, "include/")) {
    if (absl) return "public headers need no Abseil";
    if (include.quoted && !StartsWith(include.target, "tierlib/")) return "public headers see public headers only";
    return "";
  }
  if (StartsWith(include.file, "src/")) return WhyForbiddenInLayer(include);
  if (StartsWith(include.file, "examples/") || StartsWith(include.file, "adapters/")) {
    if (include.quoted && Visible().count(First(include.target)) != 0) return "examples see public headers only";
  }
  if (StartsWith(include.file, "tools/")) return WhyForbiddenInTool(include);
  return "";
}

}  // namespace tierlib
