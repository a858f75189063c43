#include "train_lm/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <type_traits>

#include "llama/decoder_model.h"
#include "train_lm/checkpoint.h"
#include "train_lm/option_checks.h"

namespace train_lm {
namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

template <typename T>
using Names = std::vector<std::pair<std::string, T>>;

const Names<tierlib::DType> kDTypes = {
    {"f32", tierlib::DType::kF32}, {"bf16", tierlib::DType::kBF16}, {"f16", tierlib::DType::kF16}};
const Names<tierlib::dkm::Form> kForms = {{"auto", tierlib::dkm::Form::kAuto},
                                          {"reference", tierlib::dkm::Form::kReference},
                                          {"paper", tierlib::dkm::Form::kPaper},
                                          {"tiled", tierlib::dkm::Form::kTiled},
                                          {"exact", tierlib::dkm::Form::kExact}};
const Names<tierlib::dkm::ChannelScale> kScales = {{"none", tierlib::dkm::ChannelScale::kNone},
                                                   {"abs", tierlib::dkm::ChannelScale::kAbs},
                                                   {"min-max", tierlib::dkm::ChannelScale::kMinMax}};
const Names<tierlib::dkm::Start> kStarts = {{"kmeans++", tierlib::dkm::Start::kPlusPlus},
                                            {"exact", tierlib::dkm::Start::kExact}};
const Names<std::optional<tierlib::DType>> kRoundings = {
    {"none", std::nullopt}, {"bf16", tierlib::DType::kBF16}, {"f16", tierlib::DType::kF16}};
const Names<Architecture> kArchitectures = {{"gpt", Architecture::kGpt}, {"llama", Architecture::kLlama}};
const Names<bool> kYesNo = {{"no", false}, {"yes", true}};
const Names<DeviceChoice> kDevices = {
    {"emulated", DeviceChoice::kEmulated}, {"cuda", DeviceChoice::kCuda}, {"auto", DeviceChoice::kAuto}};
const Names<tierlib::OffloadMode> kModes = {{"off", tierlib::OffloadMode::kOff},
                                            {"naive", tierlib::OffloadMode::kNaive},
                                            {"marshal", tierlib::OffloadMode::kMarshal}};
const Names<tierlib::OffloadPolicy> kPolicies = {{"all", tierlib::OffloadPolicy::kAll},
                                                 {"fit", tierlib::OffloadPolicy::kFit}};

template <typename T>
std::string NameOf(const Names<T>& names, T value) {
  for (const auto& [name, known] : names) {
    if (known == value) return name;
  }
  return "?";
}

std::string Decimal(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// The arguments as they were read, before the defaults that depend on others. An option is `given` where count() > 0.
class CommandLine {
 public:
  CommandLine() {
    app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    app_.set_help_flag("-h,--help", "Print this and exit");
    Files();
    Model();
    Training();
    Clustering();
    Learners();
    Memory();
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  StatusOr<Options> Parse(std::vector<std::string> arguments);
  bool Given(const std::string& name) const { return app_.get_option("--" + name)->count() > 0; }

 private:
  template <typename T>
  void Choice(const std::string& option, T& value, const Names<T>& names, const std::string& what) {
    std::string list;
    for (const auto& [name, unused] : names) list += (list.empty() ? "" : " | ") + name;
    app_.add_option_function<std::string>(
            option,
            [&value, &names, option, list](const std::string& text) {
              for (const auto& [name, known] : names) {
                if (name == text) {
                  value = known;
                  return;
                }
              }
              throw CLI::ValidationError(option, text + " is not one of " + list);
            },
            what + ", default " + NameOf(names, value))
        ->type_name(list);
  }
  void Size(const std::string& option, std::uint64_t& value, const std::string& what) {
    app_.add_option_function<std::string>(
            option,
            [&value, option](const std::string& text) {
              const StatusOr<std::uint64_t> bytes = tierlib::ParseBytes(text);
              if (!bytes.ok()) throw CLI::ValidationError(option, std::string(bytes.status().message()));
              if (*bytes == 0) throw CLI::ValidationError(option, "0 is too small");
              value = *bytes;
            },
            what + ", default " + tierlib::FormatBytes(value))
        ->type_name("SIZE");
  }
  void Real(const std::string& option, double& value, double low, double high, const std::string& what) {
    app_.add_option_function<double>(
            option,
            [&value, option, low, high](double given) {
              if (!(given >= low && given <= high)) {
                throw CLI::ValidationError(option, "must be from " + Decimal(low) + " to " + Decimal(high));
              }
              value = given;
            },
            what)
        ->type_name("NUMBER");
  }
  void Whole(const std::string& option, std::int64_t& value, std::int64_t low, std::int64_t high,
             const std::string& what) {
    app_.add_option(option, value, what)->check(CLI::Range(low, high))->type_name("N");
  }

  void Files();
  void Model();
  void Training();
  void Clustering();
  void Learners();
  void Memory();
  void ApplyDependentDefaults();
  // The numbers of the LLaMA model of --init, in place of those that were not given.
  Status ApplyModel();

  CLI::App app_{"Trains a character language model with clustered weights on a device too small for it.", "train_lm"};
  Options options_;
};

void CommandLine::Files() {
  app_.add_option("--data", options_.data, "UTF-8 text; the last tenth is for validation")->required();
  app_.add_option(
      "--init", options_.init,
      "Start from these weights: safetensors with nanoGPT's names, or with --arch llama a .bin of llama2.c or a model "
      "of Hugging Face's files");
  app_.add_option("--resume", options_.resume, "Go on from this checkpoint, to the same bits as without a stop")
      ->excludes("--init");
  app_.add_option("--save", options_.save, "Write a checkpoint here at the end and on SIGINT or SIGTERM");
  app_.add_option("--trace", options_.trace, "Write a trace for tierlib-trace here")->envname("TIERLIB_TRACE");
  app_.add_option("--report", options_.report, "Write the results here as JSON");
}

void CommandLine::Model() {
  Whole("--context", options_.context, 1, 1 << 16, "Characters in a sequence, default 64");
  Whole("--layers", options_.layers, 1, 1 << 10, "Default 4");
  Whole("--heads", options_.heads, 1, 1 << 10, "Default 4; divides the width");
  Whole("--width", options_.width, 1, 1 << 16, "Default 128");
  Choice("--arch", options_.architecture, kArchitectures, "nanoGPT's GPT or LLaMA");
  app_.add_option("--tokenizer", options_.tokenizer, "A file of llama2.c's tokens, default characters");
  Whole("--kv-heads", options_.kv_heads, 0, 1 << 10, "LLaMA: heads of keys and values, default 0: as many as heads");
  Whole("--hidden", options_.hidden, 0, 1 << 18, "LLaMA: width of the SwiGLU layer, default 0: 8/3 of the width");
  Choice("--untied", options_.untied, kYesNo, "LLaMA: a head of its own");
  Real("--norm-epsilon", options_.norm_epsilon, 1e-12, 1, "LLaMA: of RMSNorm, default 1e-5");
  Real("--rope-theta", options_.rope_theta, 1, 1e15, "LLaMA: of the rotary embedding, default 10000");
  Real("--dropout", options_.dropout, 0, 0.99, "Default 0");
  Choice("--dtype", options_.dtype, kDTypes, "Storage of parameters and activations; arithmetic is f32");
}

void CommandLine::Training() {
  Whole("--steps", options_.steps, 0, std::int64_t{1} << 40, "Steps of the schedule, default 2000, with --init 300");
  Whole("--stop-at", options_.stop_at, 1, std::int64_t{1} << 40,
        "Stop before the schedule ends, after this step, as SIGTERM would");
  Whole("--batch", options_.batch, 1, 1 << 16, "Sequences in a step, default 12");
  Real("--lr", options_.lr, 0, 1e3, "Highest learning rate, default 1e-3, with --init 3e-4");
  Real("--min-lr", options_.min_lr, 0, 1e3, "Learning rate at the end, default 1e-4, with --init 3e-5");
  Whole("--warmup", options_.warmup, 0, std::int64_t{1} << 40, "Steps of warm-up, default 100, with --init 0");
  Real("--weight-decay", options_.weight_decay, 0, 1e3, "On matrices, default 0.1, with --init 0");
  Real("--clip", options_.clip, 0, 1e9, "Norm that gradients are clipped to, default 1; 0: none");
  app_.add_option_function<std::string>(
          "--seed",
          [this](const std::string& text) {  // CLI11 would take -1 for 2^64 - 1
            const char* const end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, options_.seed);
            if (error != std::errc() || stopped != end) {
              throw CLI::ValidationError("--seed", text + " is not a whole number from 0 to 2^64 - 1");
            }
          },
          "Of weights, batches, dropout and k-means++, default 1")
      ->type_name("N");
  app_.add_flag("--eval-only", options_.eval_only, "Only evaluate on the validation part");
  Whole("--eval-every", options_.eval_every, 0, std::int64_t{1} << 40,
        "Evaluate after each so many steps too; the report has all of it and the least; default 0: not in between");
  Whole("--eval-batches", options_.eval_batches, 0, 1 << 20,
        "Beside each of these, estimate by so many batches at random places, as nanoGPT does; default 0: no estimate");
}

void CommandLine::Clustering() {
  app_.add_option_function<int>(
          "--bits",
          [this](int bits) {
            if (!((bits >= 1 && bits <= 8) || bits == 16 || bits == 32)) {
              throw CLI::ValidationError("--bits", std::to_string(bits) + " is not one of 1 to 8, 16, 32");
            }
            options_.bits = bits;
          },
          "Of a weight of the block matrices: 1 to 8 clusters them by DKM; 16 rounds them to bfloat16 at "
          "evaluation; 32 leaves them, default 32")
      ->type_name("1..8 | 16 | 32");
  app_.add_option_function<std::string>(
          "--tau",
          [this](const std::string& text) {
            char* end = nullptr;
            const double tau = std::strtod(text.c_str(), &end);
            if (text == "auto") {
              options_.tau = 0;
            } else if (text.empty() || *end != '\0' || !(tau >= 1e-30 && tau <= 1e30)) {
              throw CLI::ValidationError("--tau", text + " is neither auto nor a number from 1e-30 to 1e30");
            } else {
              options_.tau = tau;
            }
          },
          "Temperature of DKM, default auto: 0.01 times the variance of the weight at the start")
      ->type_name("NUMBER | auto");
  app_.add_option("--dkm-iterations", options_.dkm_iterations, "Of DKM in a step, default 3")
      ->check(CLI::Range(1, 100))
      ->type_name("N");
  Real("--dkm-epsilon", options_.dkm_epsilon, 0, 1e30,
       "DKM's iterations end once no centroid moves further than this, default 0: they all run");
  Choice("--dkm-start", options_.dkm_start, kStarts,
         "Where DKM's centroids come from at first: k-means++ and Lloyd iterations, or the optimum");
  Choice("--dkm-form", options_.dkm_form, kForms,
         "How DKM is computed; auto is exact for large matrices of 16 bits, otherwise tiled");
  Choice("--dkm-round-to", options_.dkm_round_to, kRoundings,
         "What f32 parameters are clustered as: exact needs 16 bits");
  Whole("--group-rows", options_.group_rows, 0, std::int64_t{1} << 31,
        "Output channels (rows) that share centroids, default 0: all; the last group of a matrix may have fewer");
  Choice("--per-channel-scale", options_.per_channel_scale, kScales,
         "What each output channel is divided by to be clustered: its largest magnitude, or half its range, at the "
         "start");
  Real("--attention-floor", options_.attention_floor, 0, 0.99,
       "Attention is raised to this, as coremltools' zero_threshold 1e-7, default 0: none");
  Real("--prune-threshold", options_.prune_threshold, 0, 1e30,
       "What distances to centroid 0 are lowered by, as in coremltools, default 0");
  app_.add_flag("--uniquify", options_.uniquify,
                "A dense form of DKM saves tables of distinct rows for backward where it can (U of eDKM)");
}

void CommandLine::Learners() {
  app_.add_option(
          "--learners", options_.learners,
          "Threads that share each batch, default 1. Each has weights and an optimizer, and a device and a host "
          "of the sizes below, of its own: all of them need that many times the memory of one")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  app_.add_flag("--mpi", options_.mpi,
                "The learners are the processes that mpirun started: mpirun -n 4 train_lm --mpi ...");
  app_.add_flag("--shard", options_.shard,
                "Each learner keeps its share of what a dense form of DKM saves for backward (S of eDKM)");
}

void CommandLine::Memory() {
  Choice("--device", options_.device, kDevices,
         "cuda: device 0 of the machine, in builds with CUDA; auto is emulated: training on CUDA is tested on the host "
         "alone so far");
  Size("--device-memory", options_.device_memory, "Device memory to use");
  Size("--host-memory", options_.host_memory, "Host memory for what is moved there");
  Choice("--offload", options_.offload, kModes, "What happens to the tensors that backward needs");
  Choice("--offload-policy", options_.policy, kPolicies, "all: marshal moves what may move; fit: only what must");
  app_.add_option_function<std::string>(
          "--target-peak",
          [this](const std::string& text) {
            if (text == "auto") return options_.target_peak.reset();
            if (text == "off") return void(options_.target_peak = 0);
            const StatusOr<std::uint64_t> bytes = tierlib::ParseBytes(text);
            if (!bytes.ok()) throw CLI::ValidationError("--target-peak", std::string(bytes.status().message()));
            if (*bytes == 0) throw CLI::ValidationError("--target-peak", "0 is too small");
            options_.target_peak = *bytes;
          },
          "What the device is to hold at most: what moves is planned a step ahead, with fit; default off")
      ->type_name("auto | off | SIZE");
  app_.add_option("--threads", options_.threads, "Threads of a kernel, default 0: all processors, which learners share")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
}

void CommandLine::ApplyDependentDefaults() {
  if (options_.init.empty()) return;
  if (!Given("steps")) options_.steps = 300;
  if (!Given("lr")) options_.lr = 3e-4;
  if (!Given("min-lr")) options_.min_lr = 3e-5;
  if (!Given("warmup")) options_.warmup = 0;
  if (!Given("weight-decay")) options_.weight_decay = 0;
}

Status CommandLine::ApplyModel() {
  if (options_.architecture != Architecture::kLlama) return tierlib::OkStatus();
  if (options_.init.empty()) {
    if (options_.kv_heads == 0) options_.kv_heads = options_.heads;
    if (options_.hidden == 0) options_.hidden = (8 * options_.width / 3 + 31) / 32 * 32;
    return tierlib::OkStatus();
  }
  TIERLIB_ASSIGN_OR_RETURN(const llama::Shape shape, llama::ReadModelShape(options_.init));
  const auto take = [this](const char* name, auto& option, auto value) {
    if (!Given(name) || option == static_cast<std::decay_t<decltype(option)>>(value)) {
      option = value;
      return tierlib::OkStatus();
    }
    return tierlib::InvalidArgumentError("--" + std::string(name) + " is not that of " + options_.init +
                                         ": leave the option out to go on with its own");
  };
  TIERLIB_RETURN_IF_ERROR(take("layers", options_.layers, shape.layers));
  TIERLIB_RETURN_IF_ERROR(take("heads", options_.heads, shape.heads));
  TIERLIB_RETURN_IF_ERROR(take("kv-heads", options_.kv_heads, shape.kv_heads));
  TIERLIB_RETURN_IF_ERROR(take("width", options_.width, shape.width));
  TIERLIB_RETURN_IF_ERROR(take("hidden", options_.hidden, shape.hidden));
  TIERLIB_RETURN_IF_ERROR(take("untied", options_.untied, !shape.tied));
  TIERLIB_RETURN_IF_ERROR(take("norm-epsilon", options_.norm_epsilon, shape.norm_epsilon));
  TIERLIB_RETURN_IF_ERROR(take("rope-theta", options_.rope_theta, shape.rope_theta));
  // A checkpoint keeps them as options: what no option takes could not be gone on with.
  std::vector<std::string> taken = {"--data=text"};
  for (const auto& [name, value] : DecidingOptions(options_)) taken.push_back("--" + name + "=" + value);
  if (const Status fits = CommandLine().Parse(std::move(taken)).status(); !fits.ok()) {
    return tierlib::InvalidArgumentError(options_.init + ": " + std::string(fits.message()));
  }
  if (options_.context <= shape.context) return tierlib::OkStatus();
  return tierlib::InvalidArgumentError("--context " + std::to_string(options_.context) + " is beyond the " +
                                       std::to_string(shape.context) + " positions of " + options_.init);
}

StatusOr<Options> CommandLine::Parse(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app_.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return Status(StatusCode::kCancelled, app_.help());
  } catch (const CLI::ParseError& error) {
    return tierlib::InvalidArgumentError(error.what());
  }
  ApplyDependentDefaults();
  TIERLIB_RETURN_IF_ERROR(ApplyModel());
  return options_;
}

// Parses again with the checkpoint's options in place of those that were not given.
StatusOr<Options> ParseWithCheckpoint(std::vector<std::string> arguments, const CommandLine& first,
                                      const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(const auto stored, CheckpointOptions(path));
  std::vector<std::string> alone = {"--data=text"};
  for (const auto& [name, value] : stored) {
    alone.push_back("--" + name + "=" + value);
    if (!first.Given(name)) arguments.push_back(alone.back());
  }
  CommandLine checkpoint;
  if (const Status parsed = checkpoint.Parse(std::move(alone)).status(); !parsed.ok()) {
    return tierlib::DataLossError(path + ": an option in the checkpoint is damaged: " + std::string(parsed.message()));
  }
  CommandLine second;
  TIERLIB_ASSIGN_OR_RETURN(Options options, second.Parse(std::move(arguments)));
  for (const auto& [name, value] : DecidingOptions(options)) {
    const std::string& kept = stored.at(name);
    if (value != kept) {
      return tierlib::InvalidArgumentError("--" + name + " " + value + ", but the checkpoint " + path +
                                           " was made with " + kept + ": leave the option out to go on with it");
    }
  }
  TIERLIB_RETURN_IF_ERROR(CheckTogether(options));
  return options;
}

}  // namespace

const char* OffloadName(tierlib::OffloadMode mode) {
  for (const auto& [name, known] : kModes) {
    if (known == mode) return name.c_str();
  }
  return "?";
}

std::string FormName(tierlib::dkm::Form form) { return NameOf(kForms, form); }

StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  CommandLine line;
  TIERLIB_ASSIGN_OR_RETURN(Options options, line.Parse(arguments));
  if (!options.resume.empty()) return ParseWithCheckpoint(arguments, line, options.resume);
  TIERLIB_RETURN_IF_ERROR(CheckTogether(options));
  return options;
}

std::map<std::string, std::string> DecidingOptions(const Options& options) {
  return {
      {"steps", std::to_string(options.steps)},
      {"batch", std::to_string(options.batch)},
      {"context", std::to_string(options.context)},
      {"layers", std::to_string(options.layers)},
      {"heads", std::to_string(options.heads)},
      {"width", std::to_string(options.width)},
      {"arch", NameOf(kArchitectures, options.architecture)},
      {"kv-heads", std::to_string(options.kv_heads)},
      {"hidden", std::to_string(options.hidden)},
      {"untied", NameOf(kYesNo, options.untied)},
      {"norm-epsilon", Decimal(options.norm_epsilon)},
      {"rope-theta", Decimal(options.rope_theta)},
      {"dropout", Decimal(options.dropout)},
      {"lr", Decimal(options.lr)},
      {"min-lr", Decimal(options.min_lr)},
      {"warmup", std::to_string(options.warmup)},
      {"weight-decay", Decimal(options.weight_decay)},
      {"clip", Decimal(options.clip)},
      {"dtype", NameOf(kDTypes, options.dtype)},
      {"seed", std::to_string(options.seed)},
      {"bits", std::to_string(options.bits)},
      {"tau", options.tau == 0 ? "auto" : Decimal(options.tau)},
      {"dkm-iterations", std::to_string(options.dkm_iterations)},
      {"dkm-epsilon", Decimal(options.dkm_epsilon)},
      {"dkm-start", NameOf(kStarts, options.dkm_start)},
      {"dkm-form", NameOf(kForms, options.dkm_form)},
      {"learners", std::to_string(options.learners)},
      {"dkm-round-to", NameOf(kRoundings, options.dkm_round_to)},
      {"group-rows", std::to_string(options.group_rows)},
      {"per-channel-scale", NameOf(kScales, options.per_channel_scale)},
      {"attention-floor", Decimal(options.attention_floor)},
      {"prune-threshold", Decimal(options.prune_threshold)},
  };
}

}  // namespace train_lm
