// Workload: what the threads of one measurement allocate and free, drawn beforehand so that the timed loop only calls.
#ifndef TIERLIB_BENCH_ALLOC_BENCH_WORKLOAD_H_
#define TIERLIB_BENCH_ALLOC_BENCH_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "alloc_bench/backend.h"

namespace tierlib::bench {

// Allocates `bytes` into a slot, or where `bytes` is 0 frees the slot's block.
struct Operation {
  std::uint32_t slot = 0;
  std::uint32_t bytes = 0;
};

// The calls of one thread. After `start` the operations may be repeated for ever, from the first after the last.
struct Sequence {
  std::size_t slots = 0;
  std::vector<Operation> start;
  std::vector<Operation> operations;
  std::size_t batch = 0;  // operations of one iteration; even, divides their number; as many free as allocate
};

// Patterns, with sizes drawn log-uniform from 512 B to 64 MiB (touched: to 4 MiB):
//   step           2,000 allocations, then frees in reverse order
//   random         1,000 live blocks; a random one is freed and another allocated
//   training_step  the device pool's calls of a recorded training step, in its sizes
extern const std::vector<std::string> kPatterns;

// The sequence of thread `thread`: the same in every run.
Sequence MakeSequence(const std::string& pattern, bool touched, int thread);

// One thread's progress through its sequence. Its blocks are freed by Finish.
class Player {
 public:
  Player(const Sequence& sequence, Backend& backend, int thread, bool touched)
      : sequence_(sequence), backend_(backend), thread_(thread), touched_(touched), blocks_(sequence.slots) {}

  void Start() { Play(sequence_.start); }
  void PlayBatch() { Next(sequence_.batch); }
  void PlayHalf() { Next(sequence_.batch / 2); }
  bool at_start() const { return next_ == 0; }  // of the operations
  void Finish();

 private:
  void Next(std::size_t count) {
    Play(absl::MakeConstSpan(sequence_.operations).subspan(next_, count));
    next_ += count;
    if (next_ == sequence_.operations.size()) next_ = 0;
  }
  void Play(absl::Span<const Operation> operations) { touched_ ? Run<true>(operations) : Run<false>(operations); }
  template <bool kTouch>
  void Run(absl::Span<const Operation> operations);

  const Sequence& sequence_;
  Backend& backend_;
  const int thread_;
  const bool touched_;
  std::vector<void*> blocks_;  // by slot; null where none is live
  std::size_t next_ = 0;
};

// Reserved by the backend / asked for and live, when most was live. The threads' sequences are played through once, an
// operation of each in turn, so the figure does not depend on timing.
double ReservedOverLive(const BackendKind& kind, const std::vector<Sequence>& sequences);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ALLOC_BENCH_WORKLOAD_H_
