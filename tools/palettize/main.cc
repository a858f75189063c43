// tierlib-palettize: the command line over models as palettes. This file only reads the arguments.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <regex>
#include <string>

#include "commands.h"
#include "stop.h"
#include "trace_viewer/exit_codes.h"

namespace {

using namespace tierlib::palettize;  // NOLINT

constexpr const char* kFooter =
    "IN is a .safetensors file or the index of shards that Hugging Face writes (model.safetensors.index.json); OUT is\n"
    "one file, replaced as a whole. Tensors of fewer than two dimensions and of other types than float32, bfloat16 "
    "and\n"
    "float16 stay dense. Tables that DKM trained (dkm.NAME.centroids) are used as they are.\n"
    "Exit codes: 0 ok, 1 the output could not be written, 2 wrong usage, 3 unusable input, 128 + a "
    "signal that stopped it.";

// The group of the options that say how to pack: none goes with --unpack.
constexpr const char* kPacking = "Packing";

// A check for CLI11: the text is a regular expression.
CLI::Validator Regex() {
  return CLI::Validator(
      [](std::string& text) {
        try {
          std::regex pattern(text);
          return std::string();
        } catch (const std::regex_error& error) {
          return "not a regular expression: " + std::string(error.what());
        }
      },
      "REGEX");
}

int Run(int argc, char** argv) {
  CLI::App app("Stores a model's weights as packed indices into small tables, clustered to the least squared error.",
               "tierlib-palettize");
  app.set_version_flag("--version", std::string("tierlib-palettize ") + TIERLIB_VERSION);
  app.footer(kFooter);
  PalettizeOptions options;
  std::string table_type = "f32";
  app.add_option("IN", options.input, "The model")->required();
  app.add_option("OUT", options.output, "Where its other form goes")->required();
  app.add_option("--bits", options.bits, "Of an index; tables have 2^bits values")
      ->check(CLI::Range(1, 8))
      ->capture_default_str()
      ->group(kPacking);
  app.add_option("--embedding-bits", options.embedding_bits, "The same, for embeddings and the output head")
      ->check(CLI::Range(1, 8))
      ->capture_default_str()
      ->group(kPacking);
  app.add_option("--groups", options.group_rows, "Output channels (rows) that share a table; default: all")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group(kPacking);
  app.add_option("--skip", options.skip, "Names that stay dense")->check(Regex())->group(kPacking);
  app.add_option("--drop", options.drop, "Names that are left out, as ^optimizer\\. of a checkpoint")
      ->check(Regex())
      ->group(kPacking);
  app.add_option("--embedding", options.embedding, "Names of embeddings")
      ->check(Regex())
      ->capture_default_str()
      ->group(kPacking);
  app.add_option("--min-size", options.min_size, "Tensors of fewer values stay dense")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group(kPacking);
  app.add_option("--table-type", table_type, "Of the tables' values")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str()
      ->group(kPacking);
  app.add_option("--threads", options.threads, "Default: all processors")->check(CLI::Range(1, 1024));
  CLI::Option* const unpack = app.add_flag("--unpack", options.unpack, "IN is palettized, OUT a dense model");
  for (CLI::Option* const each :
       app.get_options([](const CLI::Option* option) { return option->get_group() == kPacking; })) {
    unpack->excludes(each);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      return Fail(tierlib::trace_viewer::kUsage, std::string(error.what()) + " (see tierlib-palettize --help)");
    }
    app.exit(error);  // --help, --version
    return std::fflush(stdout) == 0 ? tierlib::trace_viewer::kOk : tierlib::trace_viewer::kFindings;
  }
  options.table_dtype = table_type == "bf16"  ? tierlib::DType::kBF16
                        : table_type == "f16" ? tierlib::DType::kF16
                                              : tierlib::DType::kF32;
  InstallSignals();
  return options.unpack ? RunUnpack(options) : RunPack(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // memory, or a regular expression too complex: nothing else here throws
    return Fail(tierlib::trace_viewer::kUnreadable, error.what());
  }
}
