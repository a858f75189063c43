#include "llama/commands.h"
#include "llama/decoder_model.h"
#include "llama/hugging_face.h"

namespace llama {

tierlib::Status Convert(const std::string& path, const std::string& folder) {
  TIERLIB_ASSIGN_OR_RETURN(const Model model, ReadModel(path));
  return WriteHuggingFace(model, folder);
}

}  // namespace llama
