#include "alloc_bench/training_step.h"

#include <algorithm>

namespace tierlib::bench {
namespace {

enum Call : std::uint8_t { kKept, kAllocate, kFree };

struct Row {
  Call call;
  std::uint32_t bytes;  // 0 for kFree
  std::uint32_t slot;
};

constexpr Row kRows[] = {
#include "alloc_bench/training_step.inc"
};

}  // namespace

Sequence TrainingStep() {
  Sequence sequence;
  for (const Row& row : kRows) {
    sequence.slots = std::max(sequence.slots, std::size_t{row.slot} + 1);
    (row.call == kKept ? sequence.start : sequence.operations).push_back({row.slot, row.bytes});
  }
  sequence.batch = sequence.operations.size();
  return sequence;
}

}  // namespace tierlib::bench
