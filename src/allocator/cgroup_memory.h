// What the cgroup (version 2) of this process leaves it of memory.
#ifndef TIERLIB_SRC_ALLOCATOR_CGROUP_MEMORY_H_
#define TIERLIB_SRC_ALLOCATOR_CGROUP_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

namespace tierlib {

// The least that the process's group and those above it leave: of each the lower of memory.max and memory.high, less
// what is used. Cached files count as not used, as the kernel drops them first. Nothing where no group has a limit or
// where the machine has no such groups. `root` stands before /proc and /sys: a test's own folder.
std::optional<std::uint64_t> CgroupMemoryLeft(const std::string& root = "");

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CGROUP_MEMORY_H_
