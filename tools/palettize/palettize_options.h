// What the command line says.
#ifndef TIERLIB_TOOLS_PALETTIZE_PALETTIZE_OPTIONS_H_
#define TIERLIB_TOOLS_PALETTIZE_PALETTIZE_OPTIONS_H_

#include <cstdint>
#include <string>

#include "tierlib/dtype.h"

namespace tierlib::palettize {

// Input and output embeddings by the names that GPT-2, Llama (Hugging Face's and Meta's), OPT, BERT, GPT-NeoX and
// nanoGPT give them. One that shares its weights with another is in a file once.
inline constexpr char kEmbeddingNames[] =
    R"(embed|(^|\.)wte(\.|$)|(^|\.)wpe(\.|$)|lm_head|tok_embeddings|(^|\.)output\.weight$)";

struct PalettizeOptions {
  std::string input;
  std::string output;
  int bits = 3;
  int embedding_bits = 8;
  std::int64_t group_rows = 0;              // --groups: rows that share a table; 0: all
  std::int64_t min_size = 2048;             // weights of fewer values stay dense; coremltools' weight_threshold
  std::string embedding = kEmbeddingNames;  // regular expressions of ECMAScript, found anywhere in a name
  std::string skip;                         // empty: nothing
  std::string drop;
  DType table_dtype = DType::kF32;
  int threads = 0;  // 0: all processors
  bool unpack = false;
};

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_PALETTIZE_OPTIONS_H_
