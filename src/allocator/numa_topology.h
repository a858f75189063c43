// NumaTopology: what tierlib asks of the machine's memory nodes, so that tests can show it machines that are not there.
// tests/allocator/fake_topology.h is one.
//
// Thread-safety: all functions may be called from several threads.
#ifndef TIERLIB_SRC_ALLOCATOR_NUMA_TOPOLOGY_H_
#define TIERLIB_SRC_ALLOCATOR_NUMA_TOPOLOGY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "tierlib/status.h"

namespace tierlib {

class NumaTopology {
 public:
  virtual ~NumaTopology() = default;

  virtual int nodes() const = 0;             // the highest number and 1; 0 where the kernel tells of no nodes
  virtual bool MayUse(int node) const = 0;   // whether this process may have memory of it
  virtual int CurrentCpu() const = 0;        // of the calling thread
  virtual int NodeOfCpu(int cpu) const = 0;  // -1 where the kernel does not tell
  virtual std::vector<int> CpusOf(int node) const = 0;  // that this process may run on; -1: of all nodes
  // Bytes that the node can still give without harm to anyone.
  virtual std::uint64_t FreeBytes(int node) const = 0;

  // The calling thread runs on these processors from now on, where the system lets it.
  virtual void RunOn(absl::Span<const int> cpus) = 0;
  // Pages of the range that come into memory later come from `node` and no other. Unimplemented where the system does
  // not let this process say so.
  virtual Status Bind(std::byte* begin, std::size_t bytes, int node) = 0;
  // Brings the pages of the range into memory, from the calling thread. They are fresh: zeros. ResourceExhausted,
  // without a message, where there is no memory for them.
  virtual Status Touch(std::byte* begin, std::size_t bytes) = 0;
  // The node of each page; negative for one that is not in memory.
  virtual Status FindNodes(absl::Span<void* const> pages, absl::Span<int> nodes) const = 0;
};

// The machine's own, over libnuma.
NumaTopology& MachineTopology();

std::size_t PageBytes();

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_NUMA_TOPOLOGY_H_
