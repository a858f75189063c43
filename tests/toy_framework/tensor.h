// The toy framework's storages, with its own reference counts, and tensors, which are views of them.
#ifndef TIERLIB_TESTS_TOY_FRAMEWORK_TENSOR_H_
#define TIERLIB_TESTS_TOY_FRAMEWORK_TENSOR_H_

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "tierlib/storage_id.h"
#include "tierlib/stream.h"
#include "tierlib/view.h"

namespace toy {

class Session;

// Bytes of the framework's memory, registered with tierlib. Made with one reference; with the last it retires its id
// and gives the bytes back.
class Storage {
 public:
  Storage(Session& session, void* data, tierlib::StorageId id, tierlib::Stream stream);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void AddReference() { references_.fetch_add(1); }
  void DropReference();
  // A further stream whose work touches the bytes.
  void UsedOn(tierlib::Stream stream);

  void* data() const { return data_; }
  tierlib::StorageId id() const { return id_; }

 private:
  ~Storage();

  Session& session_;
  void* const data_;
  const tierlib::StorageId id_;
  std::vector<tierlib::Stream> streams_;
  std::atomic<int> references_{1};
};

class Tensor {
 public:
  Tensor() = default;
  // Takes over a reference.
  Tensor(Storage* storage, tierlib::Layout layout) : storage_(storage), layout_(std::move(layout)) {}
  Tensor(const Tensor& other) : storage_(other.storage_), layout_(other.layout_) {
    if (storage_ != nullptr) storage_->AddReference();
  }
  Tensor(Tensor&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)), layout_(other.layout_) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(layout_, other.layout_);
    return *this;
  }
  ~Tensor() {
    if (storage_ != nullptr) storage_->DropReference();
  }

  Storage* storage() const { return storage_; }
  const tierlib::Layout& layout() const { return layout_; }
  tierlib::View view() const { return {storage_->id(), layout_}; }
  void* data() const { return storage_->data(); }
  std::int64_t size(int i) const { return layout_.sizes[i]; }
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(layout_.logical_bytes()); }

 private:
  Storage* storage_ = nullptr;
  tierlib::Layout layout_;
};

// A matrix the other way round, over the same bytes.
Tensor Transpose(const Tensor& matrix);

}  // namespace toy

#endif  // TIERLIB_TESTS_TOY_FRAMEWORK_TENSOR_H_
