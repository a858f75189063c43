// Placement: where the pages of a host tier are, as the kernel tells.
#ifndef TIERLIB_PLACEMENT_H_
#define TIERLIB_PLACEMENT_H_

#include <cstdint>
#include <vector>

namespace tierlib {

// Counts of pages, of the size that sysconf(_SC_PAGESIZE) tells.
struct Placement {
  int node = -1;                     // NUMA node that they are to be on; -1: any
  std::vector<std::uint64_t> pages;  // pages in memory, by node
  std::uint64_t elsewhere = 0;       // of these, on another node than `node`
  std::uint64_t absent = 0;          // pages that are not in memory: not touched yet
};

}  // namespace tierlib

#endif  // TIERLIB_PLACEMENT_H_
