#include "alloc_bench/workload.h"

#include <cmath>
#include <memory>
#include <optional>

#include "alloc_bench/training_step.h"
#include "base/check.h"
#include "base/random.h"

namespace tierlib::bench {
namespace {

constexpr std::uint64_t kSeed = 20260101;
constexpr std::uint32_t kStepBlocks = 2000;
constexpr std::uint32_t kLiveBlocks = 1000;
constexpr std::size_t kReplacements = 65536;  // of the random pattern, then they repeat
constexpr std::size_t kReplacementsInBatch = 2048;
constexpr std::uintptr_t kPage = 4096;

std::uint32_t DrawBytes(Random& random, bool touched) {
  const double least = 9;  // log2
  const double most = touched ? 22 : 26;
  return static_cast<std::uint32_t>(std::lround(std::exp2(least + random.UniformDouble() * (most - least))));
}

Sequence Step(Random& random, bool touched) {
  Sequence sequence;
  sequence.slots = kStepBlocks;
  for (std::uint32_t slot = 0; slot < kStepBlocks; ++slot) {
    sequence.operations.push_back({slot, DrawBytes(random, touched)});
  }
  for (std::uint32_t slot = kStepBlocks; slot-- > 0;) sequence.operations.push_back({slot, 0});
  sequence.batch = sequence.operations.size();
  return sequence;
}

Sequence RandomLifetimes(Random& random, bool touched) {
  Sequence sequence;
  sequence.slots = kLiveBlocks;
  for (std::uint32_t slot = 0; slot < kLiveBlocks; ++slot) sequence.start.push_back({slot, DrawBytes(random, touched)});
  for (std::size_t i = 0; i < kReplacements; ++i) {
    const auto slot = static_cast<std::uint32_t>(random.UniformInt(kLiveBlocks));
    sequence.operations.push_back({slot, 0});
    sequence.operations.push_back({slot, DrawBytes(random, touched)});
  }
  sequence.batch = 2 * kReplacementsInBatch;
  return sequence;
}

// Writes to every page that the block lies on.
void Touch(void* block, std::size_t bytes) {
  auto* const begin = static_cast<volatile char*>(block);
  const std::uintptr_t in_page = reinterpret_cast<std::uintptr_t>(block) % kPage;
  begin[0] = 1;
  for (std::size_t at = kPage - in_page; at < bytes; at += kPage) begin[at] = 1;
}

}  // namespace

const std::vector<std::string> kPatterns = {"step", "random", "training_step"};

Sequence MakeSequence(const std::string& pattern, bool touched, int thread) {
  Random random(kSeed, static_cast<std::uint64_t>(thread));
  if (pattern == "step") return Step(random, touched);
  if (pattern == "random") return RandomLifetimes(random, touched);
  TIERLIB_CHECK(pattern == "training_step", "alloc_bench: no such pattern");
  return TrainingStep();
}

template <bool kTouch>
void Player::Run(absl::Span<const Operation> operations) {
  for (const Operation& operation : operations) {
    void*& block = blocks_[operation.slot];
    if (operation.bytes == 0) {
      backend_.Free(block, thread_);
      block = nullptr;
      continue;
    }
    block = backend_.Allocate(operation.bytes, thread_);
    if constexpr (kTouch) Touch(block, operation.bytes);
  }
}
template void Player::Run<true>(absl::Span<const Operation>);
template void Player::Run<false>(absl::Span<const Operation>);

void Player::Finish() {
  for (void*& block : blocks_) {
    if (block != nullptr) backend_.Free(block, thread_);
    block = nullptr;
  }
}

double ReservedOverLive(const BackendKind& kind, const std::vector<Sequence>& sequences) {
  const std::unique_ptr<Backend> backend = kind.make(static_cast<int>(sequences.size()), /*touched=*/false);
  struct Live {
    void* block = nullptr;
    std::uint32_t bytes = 0;
  };
  std::vector<std::vector<Live>> slots;
  for (const Sequence& sequence : sequences) slots.emplace_back(sequence.slots);
  std::uint64_t live = 0;
  std::uint64_t most_live = 0;
  std::uint64_t reserved = 0;
  const auto play = [&](std::vector<Operation> Sequence::*part) {
    for (std::size_t i = 0; i < (sequences.front().*part).size(); ++i) {
      for (std::size_t thread = 0; thread < sequences.size(); ++thread) {
        const Operation& operation = (sequences[thread].*part)[i];
        Live& slot = slots[thread][operation.slot];
        live -= slot.bytes;
        live += operation.bytes;
        if (operation.bytes == 0) backend->Free(slot.block, static_cast<int>(thread));
        slot = {operation.bytes == 0 ? nullptr : backend->Allocate(operation.bytes, static_cast<int>(thread)),
                operation.bytes};
        if (live <= most_live) continue;
        most_live = live;
        reserved = backend->Reserved();
      }
    }
  };
  play(&Sequence::start);
  play(&Sequence::operations);
  for (std::size_t thread = 0; thread < sequences.size(); ++thread) {
    for (const Live& slot : slots[thread]) {
      if (slot.block != nullptr) backend->Free(slot.block, static_cast<int>(thread));
    }
  }
  return static_cast<double>(reserved) / static_cast<double>(most_live);
}

}  // namespace tierlib::bench
