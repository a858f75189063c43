// llama: texts from a model of the LLaMA architecture, dense or with weights that stay packed, and what such a model
// makes of a text.
//
// Exit codes: 0 done; 1 something failed; 2 wrong usage. Every failure is one line.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "llama/commands.h"

namespace {

int Fail(const std::string& message, int code) {
  std::string line;  // names out of files may hold anything; a message stays one line
  for (const char c : message) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  std::fprintf(stderr, "llama: %s\n", line.c_str());
  return code;
}

void AddModel(CLI::App* command, std::string& model, std::string& tokenizer, int& threads) {
  command
      ->add_option("--model", model,
                   "A .bin of llama2.c, or a model of Hugging Face's files: its folder, or a file "
                   "beside its config.json, also one of tierlib-palettize")
      ->required();
  command->add_option("--tokenizer", tokenizer, "A file of llama2.c's tokens")->required();
  command->add_option("--threads", threads, "For packed weights; default all processors")->check(CLI::Range(1, 1024));
}

int Run(int argc, char** argv) {
  CLI::App app("Texts from a model of the LLaMA architecture, dense or with weights that stay packed.", "llama");
  app.require_subcommand(1);
  llama::GenerateOptions generate;
  CLI::App* const generates = app.add_subcommand("generate", "Goes on with a text");
  AddModel(generates, generate.model, generate.tokenizer, generate.threads);
  generates->add_option("--prompt", generate.prompt, "How the text begins; default: as the model likes");
  generates->add_option("--tokens", generate.tokens, "At most, the prompt's included")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  generates->add_option("--texts", generate.texts, "How many")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  generates->add_option("--temperature", generate.temperature, "0: the likeliest token always")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  generates->add_option("--seed", generate.seed, "Of what is drawn")->capture_default_str();
  llama::PerplexityOptions perplexity;
  CLI::App* const rates =
      app.add_subcommand("perplexity", "How well a model expects texts, which a line <|endoftext|> parts");
  AddModel(rates, perplexity.model, perplexity.tokenizer, perplexity.threads);
  rates->add_option("--text", perplexity.text, "The file")->required();
  std::string from, to;
  CLI::App* const converts = app.add_subcommand("convert", "Writes a model as Hugging Face does, in float32");
  converts->add_option("MODEL", from, "As --model of the others; dense")->required();
  converts->add_option("FOLDER", to, "Where model.safetensors and config.json go")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return Fail(std::string(error.what()) + " (see llama --help)", 2);
    app.exit(error);  // --help
    return 0;
  }
  // A full disk, a file size limit and a closed pipe come as errors of write.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const tierlib::Status status = generates->parsed() ? llama::Generate(generate)
                                 : rates->parsed()   ? llama::PrintPerplexity(perplexity)
                                                     : llama::Convert(from, to);
  if (status.ok()) return 0;
  return Fail(status.message().empty() ? status.ToString() : std::string(status.message()), 1);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception&) {  // bad_alloc, or a vector beyond any memory: nothing else here throws
    return Fail("the machine has not enough memory for this model", 1);
  }
}
