#include "allocator/cgroup_memory.h"

#include <algorithm>
#include <fstream>
#include <string_view>

namespace tierlib {
namespace {

// The number in a file of one number; nothing for "max" and where there is no such file.
std::optional<std::uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

std::uint64_t CachedFiles(const std::string& group) {
  std::ifstream file(group + "/memory.stat");
  std::uint64_t sum = 0;
  std::string name;
  for (std::uint64_t bytes = 0; file >> name >> bytes;) {
    if (name == "active_file" || name == "inactive_file") sum += bytes;
  }
  return sum;
}

std::optional<std::uint64_t> LeftIn(const std::string& group) {
  std::optional<std::uint64_t> limit = ReadNumber(group + "/memory.max");
  const std::optional<std::uint64_t> high = ReadNumber(group + "/memory.high");
  if (high && (!limit || *high < *limit)) limit = high;
  if (!limit) return std::nullopt;
  const std::uint64_t current = ReadNumber(group + "/memory.current").value_or(0);
  const std::uint64_t used = current - std::min(current, CachedFiles(group));
  return *limit - std::min(*limit, used);
}

// The process's group, from the top: "" or "/a/b". Nothing where the machine has no groups of version 2.
std::optional<std::string> OwnGroup(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kVersion2 = "0::";
    if (line.compare(0, kVersion2.size(), kVersion2) != 0) continue;
    std::string group = line.substr(kVersion2.size());
    // Seen from within a container, a group outside of it.
    if (group == "/" || group.find("/..") != std::string::npos) group.clear();
    return group;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> CgroupMemoryLeft(const std::string& root) {
  std::optional<std::string> group = OwnGroup(root);
  if (!group) return std::nullopt;
  std::optional<std::uint64_t> least;
  for (;;) {
    const std::optional<std::uint64_t> left = LeftIn(root + "/sys/fs/cgroup" + *group);
    if (left && (!least || *left < *least)) least = left;
    const std::size_t slash = group->rfind('/');
    if (slash == std::string::npos) return least;
    group->resize(slash);
  }
}

}  // namespace tierlib
