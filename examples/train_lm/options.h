// The command line of train_lm: every option, its default and its range.
#ifndef TRAIN_LM_OPTIONS_H_
#define TRAIN_LM_OPTIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tierlib/dkm/clustering.h"
#include "tierlib/tierlib.h"

namespace train_lm {

enum class DeviceChoice { kEmulated, kCuda, kAuto };

enum class Architecture { kGpt, kLlama };

struct Options {
  // Files.
  std::string data;    // any UTF-8 text
  std::string init;    // safetensors with nanoGPT's names, or a LLaMA model (llama/decoder_model.h); "": from scratch
  std::string resume;  // a checkpoint of --save
  std::string save;
  std::string trace;
  std::string report;

  // The model.
  Architecture architecture = Architecture::kGpt;
  std::string tokenizer;  // llama2.c's tokens; "": characters
  std::int64_t context = 64;
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t width = 128;
  // Of LLaMA; with --init all numbers but the context are the file's.
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t hidden = 0;    // 0: 8/3 of the width, rounded up to a multiple of 32
  bool untied = false;
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  double dropout = 0;
  tierlib::DType dtype = tierlib::DType::kF32;

  // Training. Where the command line is silent these depend on --init.
  std::int64_t steps = 2000;  // with --init 300
  std::int64_t stop_at = 0;   // 0: at `steps`
  std::int64_t batch = 12;
  double lr = 1e-3;           // with --init 3e-4
  double min_lr = 1e-4;       // with --init 3e-5
  std::int64_t warmup = 100;  // with --init 0
  double weight_decay = 0.1;  // with --init 0; on matrices only
  double clip = 1.0;          // 0: no clipping
  std::uint64_t seed = 1;
  bool eval_only = false;
  std::int64_t eval_every = 0;    // steps between evaluations beside the first and the last; 0: none
  std::int64_t eval_batches = 0;  // random ones of an estimate beside each of these; 0: no estimate

  // Clustering of the block matrices.
  int bits = 32;   // 1 to 8: DKM; 16: rounded to bfloat16 at evaluation; 32: as they are
  double tau = 0;  // 0: auto
  int dkm_iterations = 3;
  double dkm_epsilon = 0;  // 0: all iterations
  tierlib::dkm::Start dkm_start = tierlib::dkm::Start::kPlusPlus;
  tierlib::dkm::Form dkm_form = tierlib::dkm::Form::kAuto;
  std::optional<tierlib::DType> dkm_round_to;  // of f32 parameters; none: as they are
  std::int64_t group_rows = 0;                 // output channels that share centroids; 0: all of a matrix
  tierlib::dkm::ChannelScale per_channel_scale = tierlib::dkm::ChannelScale::kNone;
  double attention_floor = 0;  // coremltools' zero_threshold; 0: none
  double prune_threshold = 0;
  bool uniquify = false;  // a dense form keeps tables of distinct rows

  // Learners of one global batch: threads of this process, or (mpi) the processes that mpirun started.
  int learners = 1;
  bool mpi = false;
  bool shard = false;  // each keeps its share of what clustering saves for backward

  // Memory. Of each learner.
  DeviceChoice device = DeviceChoice::kAuto;
  std::uint64_t device_memory = tierlib::MiB(512);
  std::uint64_t host_memory = tierlib::GiB(2);
  tierlib::OffloadMode offload = tierlib::OffloadMode::kMarshal;
  tierlib::OffloadPolicy policy = tierlib::OffloadPolicy::kFit;
  // What the device is to hold at most (DeviceOptions::target_peak); nothing: what suits --device-memory; 0: no plan.
  std::optional<std::uint64_t> target_peak = 0;
  int threads = 0;  // of kernels; 0: all processors

  bool clusters() const { return bits <= 8; }
  // Sequences that a learner computes at once, at most.
  std::int64_t LargestShare() const { return (batch + learners - 1) / learners; }
};

const char* OffloadName(tierlib::OffloadMode mode);
std::string FormName(tierlib::dkm::Form form);

// Reads the arguments after the program's name. With --resume, options that decide the result and are not given are the
// checkpoint's, and given ones must be equal to them. InvalidArgument is a mistake in the arguments (exit code 2);
// other codes come from the checkpoint's file. Cancelled carries the text that --help asked for.
tierlib::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);

// The options that decide the result to the bit, as the command line would give them: what a checkpoint holds.
std::map<std::string, std::string> DecidingOptions(const Options& options);

}  // namespace train_lm

#endif  // TRAIN_LM_OPTIONS_H_
