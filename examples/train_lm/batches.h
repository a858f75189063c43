// Batches of sequences: random ones for training and for estimates of the loss, all non-overlapping windows of the
// validation part for evaluation.
#ifndef TRAIN_LM_BATCHES_H_
#define TRAIN_LM_BATCHES_H_

#include <cstdint>
#include <vector>

#include "train_lm/text.h"

namespace train_lm {

// Row-major [sequences, context].
struct Batch {
  std::int64_t sequences = 0;
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;  // the successor of each token
};

// Sequences [first, first + sequences) of the batch of a step: at offsets that (seed, step) and the sequence's number
// decide, each equally likely.
Batch TrainingBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences,
                    std::uint64_t seed, std::uint64_t step);

// The same at offsets of the validation part that (seed, draw) and the sequence's number decide.
Batch EstimateBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences,
                    std::uint64_t seed, std::uint64_t draw);

// Windows [first, first + sequences) of the validation part. REQUIRES: they are there.
Batch ValidationBatch(const Text& text, std::int64_t context, std::int64_t first, std::int64_t sequences);

}  // namespace train_lm

#endif  // TRAIN_LM_BATCHES_H_
