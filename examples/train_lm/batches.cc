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

// The sequences [first, first + count) of a batch.
struct Rows {
  std::int64_t first;
  std::int64_t count;
};

// At random offsets into tokens [begin, end), of which each sequence and its successor are made.
Batch RandomBatch(const Text& text, std::int64_t begin, std::int64_t end, std::int64_t context, Rows rows,
                  std::uint64_t seed, RandomStream stream, std::uint64_t index) {
  Batch batch;
  const auto offsets = static_cast<std::uint64_t>(end - begin - context);  // [0, offsets)
  for (std::int64_t sequence = rows.first; sequence < rows.first + rows.count; ++sequence) {
    const auto bits = Philox(seed, stream, static_cast<std::uint32_t>(sequence), index);
    const std::uint64_t wide = (std::uint64_t{bits[0]} << 32) | bits[1];
    // The high half of a product maps [0, 2^64) to [0, offsets) evenly, to within offsets / 2^64.
    __extension__ using Product = unsigned __int128;
    const auto offset = static_cast<std::int64_t>((Product{wide} * offsets) >> 64);
    Append(text, begin + offset, context, batch);
  }
  return batch;
}

}  // namespace

Batch TrainingBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences,
                    std::uint64_t seed, std::uint64_t step) {
  return RandomBatch(text, 0, text.training, context, {first, sequences}, seed, RandomStream::kBatches, step);
}

Batch EstimateBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences,
                    std::uint64_t seed, std::uint64_t draw) {
  return RandomBatch(text, text.training, text.size(), context, {first, sequences}, seed, RandomStream::kEstimates,
                     draw);
}

Batch ValidationBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences) {
  Batch batch;
  for (std::int64_t window = first; window < first + sequences; ++window) {
    Append(text, text.training + window * context, context, batch);
  }
  return batch;
}

}  // namespace train_lm
