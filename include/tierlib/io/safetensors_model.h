// SafetensorsModel: a model in one safetensors file or in shards, as Hugging Face writes them.
#ifndef TIERLIB_IO_SAFETENSORS_MODEL_H_
#define TIERLIB_IO_SAFETENSORS_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/io/safetensors.h"
#include "tierlib/status.h"

namespace tierlib::io {

// Thread-safety: const members from any thread.
class SafetensorsModel {
 public:
  // `path` is a .safetensors file, or an index in JSON: {"weight_map": {tensor: file, ...}}, with files that lie beside
  // it. All files are opened and checked whole (SafetensorsReader). DataLoss where the index cannot be read, names a
  // file outside its folder, lacks a tensor of a file, or has one that its file lacks; errors of SafetensorsReader.
  // An index may say more than the map; only that is used.
  static StatusOr<SafetensorsModel> Open(const std::string& path);
  SafetensorsModel(SafetensorsModel&&) noexcept;
  SafetensorsModel& operator=(SafetensorsModel&&) noexcept;
  ~SafetensorsModel();

  struct Tensor {
    TensorEntry entry;
    int file = 0;  // number of its file
  };
  const std::vector<Tensor>& tensors() const;                  // file by file, in file order
  const std::map<std::string, std::string>& metadata() const;  // of all files; the first that has a key counts
  // Whether all files that have the key have the same text under it.
  bool MetadataAgrees(const std::string& key) const;
  int files() const;
  std::uint64_t bytes() const;  // of all tensors

  // As SafetensorsReader::Data: not aligned, valid for the life of the model.
  const void* Data(const Tensor& tensor) const;
  // Asks the system to start reading a tensor's bytes; does not wait.
  void Prefetch(const Tensor& tensor) const;
  // The tensor's pages leave this process's memory; Data stays valid and reads them again. A model that is read tensor
  // by tensor so takes the memory of one.
  void Release(const Tensor& tensor) const;

 private:
  struct State;
  explicit SafetensorsModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::io

#endif  // TIERLIB_IO_SAFETENSORS_MODEL_H_
