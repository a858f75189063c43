// Checkpoints: a safetensors file with the weights (under nanoGPT's names, so it serves --init too), the optimizer's
// state, the centroids, and in its metadata the options that decide the result, the text's fingerprint and the
// position. Random numbers are functions of (seed, step): the seed is among the options, the step is the position, so
// they need no more state.
#ifndef TRAIN_LM_CHECKPOINT_H_
#define TRAIN_LM_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace train_lm {

struct Options;
struct Text;

struct Checkpoint {
  struct Entry {
    std::string name;
    tierlib::DType dtype = tierlib::DType::kF32;
    std::vector<std::int64_t> sizes;
    std::vector<char> bytes;
  };
  std::uint64_t step = 0;        // steps taken
  double val_loss_start = 0;     // of the first run
  std::vector<Entry> weights;    // nanoGPT's names; ReadCheckpoint leaves them to LoadWeights
  std::vector<Entry> optimizer;  // "optimizer.<parameter>.exp_avg", ...
  // By parameter; "dkm.<parameter>.centroids" in the file, with --group-rows as [groups, clusters], and then the
  // metadata has "dkm.<parameter>.group_rows".
  std::map<std::string, std::vector<float>> centroids;
  // By parameter, with --per-channel-scale; "dkm.<parameter>.channel_scales" in the file.
  std::map<std::string, std::vector<float>> channel_scales;
  std::map<std::string, double> tau;  // by parameter
};

// Replaces the file at `path` as a whole. FailedPrecondition, with the file left as it was, where a weight or a part of
// the optimizer's state is not a finite number: nothing could go on from that.
tierlib::Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint, const Options& options,
                                const Text& text);

// The deciding options that a checkpoint was made with, as the command line would give them; defaults for those that
// came after the first version of checkpoints. DataLoss where others are not there or not what this program writes.
tierlib::StatusOr<std::map<std::string, std::string>> CheckpointOptions(const std::string& path);

// Reads a checkpoint, less its weights, and checks it against itself: who uses an entry checks it against the model.
// FailedPrecondition where it was made with another text; DataLoss where the file is damaged.
tierlib::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, const Options& options, const Text& text);

}  // namespace train_lm

#endif  // TRAIN_LM_CHECKPOINT_H_
