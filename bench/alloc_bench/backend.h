// Backend: an allocator under measurement, and the list of those that there are.
#ifndef TIERLIB_BENCH_ALLOC_BENCH_BACKEND_H_
#define TIERLIB_BENCH_ALLOC_BENCH_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tierlib::bench {

// Thread-safety: threads of different numbers call at the same time; a block is freed by the thread that allocated it.
class Backend {
 public:
  virtual ~Backend() = default;
  // A block of `bytes`; ends the program where there is none. `thread` counts from 0.
  virtual void* Allocate(std::size_t bytes, int thread) = 0;
  virtual void Free(void* block, int thread) = 0;
  // Bytes that it has taken from the system so far. REQUIRES: BackendKind::counts_reserved.
  virtual std::uint64_t Reserved() const { return 0; }
};

struct BackendKind {
  std::string name;
  std::string missing;           // why it cannot run here; "" where it can
  bool counts_reserved = false;  // Reserved() is defined, and no memory needs to be behind the blocks
  bool several_threads = false;  // with one thread it is as another kind is, and is not measured
  // For `threads` threads; `touched`: blocks will be written.
  std::function<std::unique_ptr<Backend>(int threads, bool touched)> make;
};

BackendKind BlockPoolKind();             // "tierlib"
BackendKind TurnsKind();                 // "tierlib_turns": with DeviceOptions::allocating_threads_take_turns
BackendKind PowersOfTwoKind();           // "pow2"
std::vector<BackendKind> MallocKinds();  // "glibc", "mimalloc", "jemalloc", "tcmalloc"
inline std::vector<BackendKind> AllKinds() {
  std::vector<BackendKind> kinds = {BlockPoolKind(), TurnsKind(), PowersOfTwoKind()};
  for (BackendKind& kind : MallocKinds()) kinds.push_back(std::move(kind));
  return kinds;
}

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ALLOC_BENCH_BACKEND_H_
