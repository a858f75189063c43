#include "train_lm/option_checks.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "llama/shape.h"

namespace train_lm {
namespace {

using tierlib::InvalidArgumentError;
using tierlib::Status;

// True where both name one file, through whatever path.
bool SameFile(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  std::error_code error;
  const bool same = std::filesystem::equivalent(a, b, error);
  if (!error) return same;
  const auto whole = [&error](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  return whole(a) == whole(b);
}

// What no output may replace, and what two outputs may not share. --save may name the checkpoint that is resumed.
Status CheckFiles(const Options& o) {
  using File = std::pair<const char*, const std::string*>;
  const File inputs[] = {
      {"--data", &o.data}, {"--init", &o.init}, {"--resume", &o.resume}, {"--tokenizer", &o.tokenizer}};
  const File outputs[] = {{"--save", &o.save}, {"--report", &o.report}, {"--trace", &o.trace}};
  const auto clash = [](const File& a, const File& b) {
    return InvalidArgumentError(std::string(a.first) + " and " + b.first + " are both " + *b.second);
  };
  for (const File& output : outputs) {
    for (const File& input : inputs) {
      const bool advances = output.second == &o.save && (input.second == &o.init || input.second == &o.resume);
      if (!advances && SameFile(*output.second, *input.second)) return clash(input, output);
    }
    for (const File& other : outputs) {
      if (&other < &output && SameFile(*other.second, *output.second)) return clash(other, output);
    }
  }
  return tierlib::OkStatus();
}

// What only LLaMA has must not be asked of another model.
Status CheckGpt(const Options& o) {
  const Options defaults;
  const char* given = o.kv_heads != defaults.kv_heads           ? "--kv-heads"
                      : o.hidden != defaults.hidden             ? "--hidden"
                      : o.untied != defaults.untied             ? "--untied"
                      : o.norm_epsilon != defaults.norm_epsilon ? "--norm-epsilon"
                      : o.rope_theta != defaults.rope_theta     ? "--rope-theta"
                                                                : nullptr;
  if (given == nullptr) return tierlib::OkStatus();
  return InvalidArgumentError(std::string(given) + " is for --arch llama");
}

Status CheckLlama(const Options& o) {
  llama::Shape shape;
  shape.vocabulary = 1;
  shape.context = o.context;
  shape.layers = o.layers;
  shape.heads = o.heads;
  shape.kv_heads = o.kv_heads;
  shape.width = o.width;
  shape.hidden = o.hidden;
  return llama::CheckShape(shape, "--arch llama");
}

Status CheckClustering(const Options& o) {
  const bool wide = o.dtype == tierlib::DType::kF32;
  if (o.dkm_round_to && !wide && *o.dkm_round_to != o.dtype) {
    return InvalidArgumentError(std::string("--dkm-round-to ") + tierlib::DTypeName(*o.dkm_round_to) +
                                " is for --dtype f32, not " + tierlib::DTypeName(o.dtype));
  }
  const bool dense = o.dkm_form == tierlib::dkm::Form::kReference || o.dkm_form == tierlib::dkm::Form::kPaper;
  if (o.dkm_epsilon > 0 && dense) {
    return InvalidArgumentError("--dkm-epsilon is for --dkm-form tiled or exact");
  }
  const bool exact = o.dkm_form == tierlib::dkm::Form::kExact;
  if (exact && wide && !o.dkm_round_to) {
    return InvalidArgumentError("--dkm-form exact needs 16 bits: --dkm-round-to bf16 or f16, or such a --dtype");
  }
  if (exact && o.per_channel_scale != tierlib::dkm::ChannelScale::kNone && !o.dkm_round_to) {
    return InvalidArgumentError("--dkm-form exact needs 16 bits after --per-channel-scale too: --dkm-round-to " +
                                std::string(tierlib::DTypeName(o.dtype)));
  }
  if (o.uniquify && !(dense && o.clusters())) {
    return InvalidArgumentError(
        "--uniquify needs --bits 1 to 8 and --dkm-form reference or paper: nothing else saves maps");
  }
  return tierlib::OkStatus();
}

// What DKM has no kernel for on CUDA devices.
Status CheckCuda(const Options& o) {
  if (o.device != DeviceChoice::kCuda || !o.clusters()) return tierlib::OkStatus();
  const char* const given = o.dkm_form == tierlib::dkm::Form::kPaper ? "--dkm-form"
                            : o.uniquify                             ? "--uniquify"
                            : o.shard                                ? "--shard"
                                                                     : nullptr;
  if (given == nullptr) return tierlib::OkStatus();
  return InvalidArgumentError(std::string(given) + ": what is given runs on --device emulated only");
}

Status CheckLearners(const Options& o) {
  if (o.learners > o.batch) {
    return InvalidArgumentError("--batch " + std::to_string(o.batch) + " leaves some of --learners " +
                                std::to_string(o.learners) + " without a sequence");
  }
  if (!o.shard) return tierlib::OkStatus();
  if (o.learners == 1) return InvalidArgumentError("--shard needs --learners 2 or more");
  const bool dense = o.dkm_form == tierlib::dkm::Form::kReference || o.dkm_form == tierlib::dkm::Form::kPaper;
  if (dense && o.clusters()) return tierlib::OkStatus();
  return InvalidArgumentError(
      "--shard needs --bits 1 to 8 and --dkm-form reference or paper: nothing else saves enough to share");
}

}  // namespace

Status CheckTogether(const Options& o) {
  if (o.width % o.heads != 0) {
    return InvalidArgumentError("--width " + std::to_string(o.width) + " cannot be divided by --heads " +
                                std::to_string(o.heads));
  }
  TIERLIB_RETURN_IF_ERROR(o.architecture == Architecture::kLlama ? CheckLlama(o) : CheckGpt(o));
  if (o.eval_only && !o.save.empty()) {
    return InvalidArgumentError("--eval-only trains nothing that --save could write");
  }
  if (o.eval_only && o.eval_every > 0) {
    return InvalidArgumentError("--eval-every is for training: --eval-only evaluates once");
  }
  if (o.eval_batches > 0 && o.eval_every == 0) {
    return InvalidArgumentError("--eval-batches needs --eval-every: it says when they are drawn");
  }
  if (o.min_lr > o.lr) return InvalidArgumentError("--min-lr is above --lr");
  if (o.stop_at > o.steps) return InvalidArgumentError("--stop-at is above --steps");
  TIERLIB_RETURN_IF_ERROR(CheckClustering(o));
  TIERLIB_RETURN_IF_ERROR(CheckCuda(o));
  TIERLIB_RETURN_IF_ERROR(CheckLearners(o));
  return CheckFiles(o);
}

}  // namespace train_lm
