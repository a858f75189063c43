#include "train_lm/batches.h"

#include "train_lm/philox.h"

namespace train_lm {
namespace {

void Append(const Text& text, std::int64_t begin, std::int64_t context, Batch& batch) {
  const auto at = text.tokens.begin() + begin;
  batch.tokens.insert(batch.tokens.end(), at, at + context);
  batch.targets.insert(batch.targets.end(), at + 1, at + context + 1);
  ++batch.sequences;
}

}  // namespace

Batch TrainingBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences,
                    std::uint64_t seed, std::uint64_t step) {
  Batch batch;
  const auto offsets = static_cast<std::uint64_t>(text.training - context);  // [0, offsets)
  for (std::int64_t sequence = first; sequence < first + sequences; ++sequence) {
    const auto bits = Philox(seed, RandomStream::kBatches, static_cast<std::uint32_t>(sequence), step);
    const std::uint64_t wide = (std::uint64_t{bits[0]} << 32) | bits[1];
    // The high half of a product maps [0, 2^64) to [0, offsets) evenly, to within offsets / 2^64.
    __extension__ using Product = unsigned __int128;
    const auto offset = static_cast<std::int64_t>((Product{wide} * offsets) >> 64);
    Append(text, offset, context, batch);
  }
  return batch;
}

Batch ValidationBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences) {
  Batch batch;
  for (std::int64_t window = first; window < first + sequences; ++window) {
    Append(text, text.training + window * context, context, batch);
  }
  return batch;
}

}  // namespace train_lm
