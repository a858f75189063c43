#include "allocator/faulty_source.h"

#include <utility>

namespace tierlib {
namespace {

class FaultySource : public MemorySource {
 public:
  FaultySource(std::unique_ptr<MemorySource> source, Faults& faults) : faults_(faults), source_(std::move(source)) {}

  Tier tier() const override { return source_->tier(); }
  std::uint64_t capacity() const override { return source_->capacity(); }
  std::size_t granularity() const override { return source_->granularity(); }
  Status Grow(std::size_t bytes) override {
    TIERLIB_RETURN_IF_ERROR(faults_.Call(FaultPoint::kGrow));
    return source_->Grow(bytes);
  }
  StatusOr<std::size_t> Shrink(std::size_t bytes) override { return source_->Shrink(bytes); }
  Status Discard(std::size_t offset, std::size_t bytes) override { return source_->Discard(offset, bytes); }
  Status Commit(std::size_t offset, std::size_t bytes) override {
    if (source_->AbsentIn(offset, bytes) > 0) TIERLIB_RETURN_IF_ERROR(faults_.Call(FaultPoint::kGrow));
    return source_->Commit(offset, bytes);
  }
  std::size_t absent() const override { return source_->absent(); }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override {
    return source_->AbsentIn(offset, bytes);
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

 private:
  Faults& faults_;
  const std::unique_ptr<MemorySource> source_;
};

}  // namespace

std::unique_ptr<MemorySource> MakeFaultySource(std::unique_ptr<MemorySource> source, Faults& faults) {
  return std::make_unique<FaultySource>(std::move(source), faults);
}

}  // namespace tierlib
