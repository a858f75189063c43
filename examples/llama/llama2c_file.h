// Models in llama2.c's first format: seven 32-bit integers (width, hidden, layers, heads, kv_heads, vocabulary,
// context; a negative vocabulary: the head is a matrix of its own), then float32, little-endian:
//
//   embedding [vocabulary, width], then for all layers each: input norms, q, k, v, o, middle norms, gate, down, up;
//   the last norm; two tables of rotary angles [context, head width / 2], which are not used; the head where it is its
//   own
#ifndef LLAMA_LLAMA2C_FILE_H_
#define LLAMA_LLAMA2C_FILE_H_

#include <string>

#include "llama/model.h"
#include "tierlib/status.h"

namespace llama {

// Errors name the file: NotFound and the like, DataLoss where it is shorter or longer than its header says, or a weight
// is NaN or infinite (named with its position), InvalidArgument where the header is no model's (CheckShape).
tierlib::StatusOr<Model> ReadLlama2c(const std::string& path);
// What its header says, alone.
tierlib::StatusOr<Shape> ReadLlama2cShape(const std::string& path);

}  // namespace llama

#endif  // LLAMA_LLAMA2C_FILE_H_
