// ForwardingSource: a MemorySource that does what another one does. One that adds something to it overrides what it
// changes.
#ifndef TIERLIB_SRC_ALLOCATOR_FORWARDING_SOURCE_H_
#define TIERLIB_SRC_ALLOCATOR_FORWARDING_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "allocator/memory_source.h"

namespace tierlib {

// Thread-safety: as the source below.
class ForwardingSource : public MemorySource {
 public:
  Tier tier() const override { return source_->tier(); }
  std::uint64_t capacity() const override { return source_->capacity(); }
  std::size_t granularity() const override { return source_->granularity(); }
  Status Grow(std::size_t bytes) override { return source_->Grow(bytes); }
  StatusOr<std::size_t> Shrink(std::size_t bytes) override { return source_->Shrink(bytes); }
  Status Discard(std::size_t offset, std::size_t bytes) override { return source_->Discard(offset, bytes); }
  Status Commit(std::size_t offset, std::size_t bytes) override { return source_->Commit(offset, bytes); }
  std::size_t absent() const override { return source_->absent(); }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override {
    return source_->AbsentIn(offset, bytes);
  }
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const override {
    return source_->MissingFor(offset, bytes);
  }
  std::byte* base() const override { return source_->base(); }
  std::size_t base_alignment() const override { return source_->base_alignment(); }
  std::size_t grown() const override { return source_->grown(); }
  std::size_t locked() const override { return source_->locked(); }
  bool notes_blocks() const override { return source_->notes_blocks(); }
  int numa_node() const override { return source_->numa_node(); }
  Status Read(std::size_t offset, void* to, std::size_t bytes) const override {
    return source_->Read(offset, to, bytes);
  }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    source_->NoteBlock(base, bytes, live, stream);
  }
  StatusOr<Placement> VerifyPlacement(std::size_t bytes) const override { return source_->VerifyPlacement(bytes); }

 protected:
  // REQUIRES: `source` is not null.
  explicit ForwardingSource(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {}

  MemorySource& below() const { return *source_; }
  // For a destructor: from then on nothing else may be called.
  void EndBelow() { source_.reset(); }

 private:
  std::unique_ptr<MemorySource> source_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FORWARDING_SOURCE_H_
