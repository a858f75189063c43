// The NumaTopology of this machine: libnuma, and what the kernel says of a node's memory in /sys. Has no state.
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "allocator/numa_topology.h"
#include "allocator/zone_reserve.h"
#include "base/mutex.h"
#include "tierlib/bytes.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace tierlib {
namespace {

// libnuma fills tables of its own at the first question, and takes no lock for that.
Mutex& LibnumaMutex() {
  static Mutex& mutex = *new Mutex;
  return mutex;
}

class Machine : public NumaTopology {
 public:
  int nodes() const override { return numa_available() >= 0 ? numa_max_node() + 1 : 0; }

  bool MayUse(int node) const override {
    if (node < 0 || node >= nodes()) return false;
    bitmask* const allowed = numa_get_mems_allowed();
    const bool may = numa_bitmask_isbitset(allowed, static_cast<unsigned>(node)) != 0;
    numa_bitmask_free(allowed);
    return may;
  }

  int CurrentCpu() const override { return std::max(0, sched_getcpu()); }

  int NodeOfCpu(int cpu) const override {
    if (nodes() == 0) return -1;
    MutexLock lock(LibnumaMutex());
    return numa_node_of_cpu(cpu);
  }

  std::vector<int> CpusOf(int node) const override {
    std::vector<int> cpus;
    bitmask* const of_node = numa_allocate_cpumask();
    {
      MutexLock lock(LibnumaMutex());
      if (node >= 0 && numa_node_to_cpus(node, of_node) != 0) numa_bitmask_clearall(of_node);
    }
    for (unsigned cpu = 0; cpu < of_node->size; ++cpu) {
      const bool on_node = node < 0 || numa_bitmask_isbitset(of_node, cpu) != 0;
      // What the process was started with: a thread that narrowed its own choice says nothing about others.
      if (on_node && numa_bitmask_isbitset(numa_all_cpus_ptr, cpu) != 0) cpus.push_back(static_cast<int>(cpu));
    }
    numa_bitmask_free(of_node);
    return cpus;
  }

  // As the kernel estimates what a machine has available: what is free, half of the cached files, less a reserve.
  std::uint64_t FreeBytes(int node) const override {
    std::ifstream file(absl::StrCat("/sys/devices/system/node/node", node, "/meminfo"));
    std::uint64_t free = 0;
    std::uint64_t cached = 0;
    std::uint64_t total = 0;
    bool found = false;
    for (std::string line; std::getline(file, line);) {
      const std::size_t colon = line.find(':');
      const std::size_t word = line.rfind(' ', colon);
      if (colon == std::string::npos || word == std::string::npos) continue;
      const std::string_view name = std::string_view(line).substr(word + 1, colon - word - 1);
      const std::uint64_t kilobytes = std::strtoull(line.c_str() + colon + 1, nullptr, 10);
      if (name == "MemTotal") total = KiB(kilobytes);
      if (name == "Active(file)" || name == "Inactive(file)") cached += KiB(kilobytes);
      if (name == "MemFree") {
        free = KiB(kilobytes);
        found = true;
      }
    }
    if (!found) return std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t available = free + cached / 2;
    // The kernel's reserve grows where huge pages are on, to a twentieth of a small node.
    std::ifstream zones("/proc/zoneinfo");
    const std::uint64_t reserve = std::max(total / 256, ZoneReservePages(zones, node) * PageBytes());
    return available - std::min(available, reserve);
  }

  void RunOn(absl::Span<const int> cpus) override {
    if (cpus.empty()) return;
    bitmask* const mask = numa_allocate_cpumask();
    for (const int cpu : cpus) numa_bitmask_setbit(mask, static_cast<unsigned>(cpu));
    (void)numa_sched_setaffinity(0, mask);
    numa_bitmask_free(mask);
  }

  Status Bind(std::byte* begin, std::size_t bytes, int node) override {
    std::vector<unsigned long> mask(static_cast<std::size_t>(node) / 64 + 1, 0);  // NOLINT: mbind's type
    mask[static_cast<std::size_t>(node) / 64] = 1ul << (node % 64);
    if (mbind(begin, bytes, MPOL_BIND, mask.data(), mask.size() * 64 + 1, 0) == 0) return OkStatus();
    if (errno == ENOMEM) return Status(StatusCode::kResourceExhausted);
    return UnimplementedError(absl::StrCat("mbind to NUMA node ", node, ": ", std::strerror(errno)));
  }

  Status Touch(std::byte* begin, std::size_t bytes) override {
    // One call in place of a fault a page; and where there is no memory it says so, while a fault ends the program.
    if (madvise(begin, bytes, MADV_POPULATE_WRITE) == 0) return OkStatus();
    if (errno == ENOMEM || errno == EFAULT) return Status(StatusCode::kResourceExhausted);
    for (std::size_t offset = 0; offset < bytes; offset += PageBytes()) {
      static_cast<volatile std::byte*>(begin)[offset] = std::byte{0};
    }
    return OkStatus();
  }

  Status FindNodes(absl::Span<void* const> pages, absl::Span<int> nodes) const override {
    // Not written to where no node is given to move them to, though the call's type says so.
    auto* const addresses = const_cast<void**>(pages.data());
    if (move_pages(0, pages.size(), addresses, nullptr, nodes.data(), 0) == 0) return OkStatus();
    return UnimplementedError(absl::StrCat("the kernel does not tell where pages are: ", std::strerror(errno)));
  }
};

}  // namespace

NumaTopology& MachineTopology() {
  static Machine& machine = *new Machine;  // never destroyed: threads may still grow memory when a program exits
  return machine;
}

std::size_t PageBytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace tierlib
