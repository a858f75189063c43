// FakeTopology: a machine of several NUMA nodes with two processors each, that remembers for every page to which node
// it was bound and from which node it was touched. The memory itself is real, wherever it is.
#ifndef TIERLIB_TESTS_ALLOCATOR_FAKE_TOPOLOGY_H_
#define TIERLIB_TESTS_ALLOCATOR_FAKE_TOPOLOGY_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/numa_topology.h"
#include "base/mutex.h"

namespace tierlib {

class FakeTopology : public NumaTopology {
 public:
  explicit FakeTopology(int nodes) : free(static_cast<std::size_t>(nodes), std::uint64_t{1} << 40), nodes_(nodes) {}

  int nodes() const override { return nodes_; }
  bool MayUse(int node) const override { return node >= 0 && node < nodes_ && !forbidden.contains(node); }
  int CurrentCpu() const override { return Cpu(); }
  int NodeOfCpu(int cpu) const override { return cpu / kCpus; }
  std::vector<int> CpusOf(int node) const override {
    std::vector<int> cpus;
    for (int cpu = 0; cpu < nodes_ * kCpus; ++cpu) {
      if (node < 0 || NodeOfCpu(cpu) == node) cpus.push_back(cpu);
    }
    return cpus;
  }
  std::uint64_t FreeBytes(int node) const override { return free[static_cast<std::size_t>(node)]; }
  void RunOn(absl::Span<const int> cpus) override { Cpu() = cpus.front(); }
  Status Bind(std::byte* begin, std::size_t bytes, int node) override {
    if (!bind_error.ok()) return bind_error;
    bound_.emplace_back(std::pair(begin, begin + bytes), node);
    return OkStatus();
  }
  // A page comes from the node that it is bound to, from where it is touched otherwise; with `leaks` from the next one.
  Status Touch(std::byte* begin, std::size_t bytes) override {
    if (touches_left.fetch_sub(1) <= 0) return Status(StatusCode::kResourceExhausted);
    std::memset(begin, 0, bytes);
    const int here = NodeOfCpu(Cpu());
    MutexLock lock(mutex_);
    touching_.insert(std::this_thread::get_id());
    for (std::byte* page = begin; page < begin + bytes; page += PageBytes()) {
      const int bound = BoundTo(page);
      pages_[page] = Page{here, leaks ? (bound + 1) % nodes_ : bound >= 0 ? bound : here};
    }
    return OkStatus();
  }
  Status FindNodes(absl::Span<void* const> pages, absl::Span<int> nodes) const override {
    MutexLock lock(mutex_);
    for (std::size_t i = 0; i < pages.size(); ++i) {
      const auto page = pages_.find(static_cast<std::byte*>(pages[i]));
      nodes[i] = page == pages_.end() ? -2 : page->second.node;
    }
    return OkStatus();
  }

  // The calling thread runs on the first processor of the node.
  void RunHere(int node) { Cpu() = node * kCpus; }
  // Of the page that holds `address`; -1 where nothing touched it.
  int NodeOf(const void* address) const { return At(address).node; }
  int TouchedFrom(const void* address) const { return At(address).touched_from; }
  std::size_t touching_threads() const {
    MutexLock lock(mutex_);
    return touching_.size();
  }

  std::vector<std::uint64_t> free;  // by node
  std::set<int> forbidden;          // nodes that this process may not use
  Status bind_error;
  bool leaks = false;
  std::atomic<int> touches_left{1 << 30};  // how many calls of Touch succeed

 private:
  static constexpr int kCpus = 2;
  struct Page {
    int touched_from = -1;
    int node = -1;
  };

  static int& Cpu() {
    thread_local int cpu = 0;
    return cpu;
  }
  int BoundTo(const std::byte* page) const {
    int node = -1;
    for (const auto& [range, to] : bound_) {
      if (page >= range.first && page < range.second) node = to;
    }
    return node;
  }
  Page At(const void* address) const {
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    MutexLock lock(mutex_);
    const auto page = pages_.find(reinterpret_cast<std::byte*>(number - number % PageBytes()));
    return page == pages_.end() ? Page() : page->second;
  }

  const int nodes_;
  mutable Mutex mutex_;
  std::map<std::byte*, Page> pages_ ABSL_GUARDED_BY(mutex_);
  std::set<std::thread::id> touching_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<std::pair<std::byte*, std::byte*>, int>> bound_;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_FAKE_TOPOLOGY_H_
